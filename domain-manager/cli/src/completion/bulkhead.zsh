#compdef bulkhead
# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of `bulkhead` for zsh.
_bulkhead() {
    local -a found before_value
    found=(${(f)"$(bulkhead complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    # What ends with `=` is followed by a value.
    before_value=(${(M)found:#*=})
    found=(${found:#*=})
    if (( $#before_value )); then
        compadd -S '' -- $before_value
    fi
    if (( $#found )); then
        compadd -- $found
    elif (( ! $#before_value )); then
        _files
    fi
}
if [ "$funcstack[1]" = "_bulkhead" ]; then
    _bulkhead "$@"
else
    compdef _bulkhead bulkhead
fi
