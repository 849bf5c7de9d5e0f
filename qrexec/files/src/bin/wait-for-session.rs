// SPDX-License-Identifier: GPL-3.0-or-later
//! The service `qubes.WaitForSession`: ends when the display of the session answers.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use bulkhead_files::open::wait_for_display;
use bulkhead_files::report::failure;

const LIMIT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match wait_for_display(LIMIT) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error),
    }
}
