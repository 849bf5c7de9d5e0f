// SPDX-License-Identifier: GPL-3.0-or-later
//! How the programs of this crate say that something went wrong.

use std::error::Error;
use std::process::ExitCode;

/// Refused by policy, as qrexec's clients report it.
pub const REFUSED: u8 = 126;
/// Allowed, but there is no such service, as qrexec's clients report it.
pub const NO_SERVICE: u8 = 127;
/// The command line asks for something that cannot be.
pub const USAGE: u8 = 2;
/// A failure before any service answered.
pub const FAILED: u8 = 1;

/// Prints an error with its causes, and what to do about it where that is known.
pub fn complain(error: &dyn Error, hint: Option<&str>) {
    eprintln!("error: {error}");
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(reason) = cause {
        let text = reason.to_string();
        if text != said {
            eprintln!("caused by: {text}");
        }
        said = text;
        cause = reason.source();
    }
    if let Some(hint) = hint {
        eprintln!("hint: {hint}");
    }
}

/// Complains and gives the exit code of an ordinary failure.
pub fn failure(error: &dyn Error) -> ExitCode {
    complain(error, None);
    ExitCode::from(FAILED)
}
