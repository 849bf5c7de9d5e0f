#compdef bulkhead
# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of `bulkhead` for zsh.
_bulkhead() {
    local -a found
    found=(${(f)"$(bulkhead complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( $#found )); then
        compadd -- $found
    else
        _files
    fi
}
if [ "$funcstack[1]" = "_bulkhead" ]; then
    _bulkhead "$@"
else
    compdef _bulkhead bulkhead
fi
