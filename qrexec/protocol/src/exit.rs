// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exit codes that mean the same to every tool.

/// qrexec's own failure: bad command line or configuration, a service that cannot be started,
/// a connection that did not come about.
pub const PROBLEM: i32 = 125;
/// Policy refused the call, or the request was malformed.
pub const REFUSED: i32 = 126;
/// The call was allowed, but there is no such service.
pub const NOT_FOUND: i32 = 127;
/// A call between two domains failed in dom0.
pub const RELAY_FAILED: i32 = 137;
/// The peer's exit code was malformed.
pub const MALFORMED: i32 = 255;

/// What a peer's code is for whoever waits here, who is given its low byte only: no failure may look like
/// success.
pub fn of_peer(code: i32) -> i32 {
    let lost = code != 0 && code.to_le_bytes()[0] == 0;
    if lost { MALFORMED } else { code }
}

/// The code of a process that ended by a signal.
pub fn by_signal(signal: i32) -> i32 {
    128 + signal
}
