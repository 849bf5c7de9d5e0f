# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of `bulkhead` for fish.
function __bulkhead_complete
    set -l found (bulkhead complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c bulkhead -f -a '(__bulkhead_complete)'
