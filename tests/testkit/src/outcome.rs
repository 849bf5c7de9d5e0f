// SPDX-License-Identifier: GPL-3.0-or-later
//! How the tests' own programs end.

use std::process::ExitCode;

/// The exit code of a program that has done this. A failure is said on standard error, in one line.
pub fn outcome(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
