# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of `bulkhead` for bash.
_bulkhead() {
    local line=${COMP_LINE:0:COMP_POINT} whole before
    local -a words
    read -ra words <<<"$line"
    if [[ $line == *[[:space:]] ]]; then
        words+=("")
    fi
    # Readline replaces only what stands behind the last of these characters.
    whole=${words[-1]}
    before=${whole%"${whole##*[:=@]}"}
    mapfile -t COMPREPLY < <(bulkhead complete -- "${words[@]:1}" 2>/dev/null)
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
    # A value follows.
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o default -F _bulkhead bulkhead
