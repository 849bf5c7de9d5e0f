// SPDX-License-Identifier: GPL-3.0-or-later
//! The machine's start.

/// What the kernel calls this start; nothing if it cannot be read, which equals no other.
pub(crate) fn boot_id() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    read.map(|text| text.trim().to_owned()).unwrap_or_default()
}
