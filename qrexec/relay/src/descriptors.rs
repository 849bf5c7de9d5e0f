// SPDX-License-Identifier: GPL-3.0-or-later
//! How many descriptors this process may have open.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Enough for as many calls as there are ports, each with its channel, its streams and its process.
const ENOUGH: u64 = 32_768;

/// Allows this process the descriptors of all the calls that it may have at one time, as far as its
/// hard limit goes. The soft limit is often 1024, for the sake of programs that use `select`.
pub fn allow_many_descriptors() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = ENOUGH.min(hard);
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    }
    Ok(())
}
