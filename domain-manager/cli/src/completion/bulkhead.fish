# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of `bulkhead` for fish.
complete -c bulkhead -a '(bulkhead complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
