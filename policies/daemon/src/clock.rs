// SPDX-License-Identifier: GPL-3.0-or-later
//! The machine's start, and the time since.

use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};

/// What the kernel calls this start; nothing if it cannot be read, which equals no other.
pub(crate) fn boot_id() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    read.map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// The time since the machine was started, with the time that it slept. No change of the
/// date moves it.
pub(crate) fn since_boot() -> Duration {
    // This clock is there on every Linux; with none, no answer would ever end.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::MAX, Duration::from)
}

/// A moment by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// For records.
    pub wall: SystemTime,
    /// Since the machine's start: for whatever has an end.
    pub boot: Duration,
}

impl Moment {
    pub fn now() -> Self {
        Self {
            wall: SystemTime::now(),
            boot: since_boot(),
        }
    }
}
