// SPDX-License-Identifier: GPL-3.0-or-later
//! The service `qubes.VMExec`: runs the command that stands in its argument.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use bulkhead_files::command_word::decode;
use bulkhead_files::report;

/// The command cannot be run.
const UNABLE: u8 = 125;
/// There is no such program.
const NOT_FOUND: u8 = 127;

fn main() -> ExitCode {
    let argument = std::env::args().nth(1).unwrap_or_default();
    let words = match decode(&argument) {
        Ok(words) => words,
        Err(error) => {
            report::error(format_args!("{error}"));
            return ExitCode::from(UNABLE);
        }
    };
    let mut words = words.into_iter().map(OsString::from_vec);
    let program = words.next().unwrap_or_default();
    let error = Command::new(&program).args(words).exec();
    report::error(format_args!("cannot run {}: {error}", program.display()));
    ExitCode::from(match error.kind() {
        ErrorKind::NotFound => NOT_FOUND,
        _ => UNABLE,
    })
}
