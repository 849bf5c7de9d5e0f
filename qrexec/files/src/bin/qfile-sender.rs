// SPDX-License-Identifier: GPL-3.0-or-later
//! Sends files in the format of `qubes.Filecopy` over standard output and reads the answer
//! from standard input: the local program of a call.
//!
//! `qrexec-client-vm work qubes.Filecopy /usr/lib/bulkhead/qfile-sender FILE…`
#![forbid(unsafe_code)]

use std::env;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use bulkhead_files::report::failure;
use bulkhead_files::send::{on_terminal, send};

fn main() -> ExitCode {
    let paths: Vec<PathBuf> = env::args_os().skip(1).map(Into::into).collect();
    if paths.is_empty() {
        eprintln!("usage: qfile-sender FILE…");
        return ExitCode::from(2);
    }
    // Past the line buffer of the standard output.
    let output = match io::stdout().as_fd().try_clone_to_owned() {
        Ok(output) => File::from(output),
        Err(error) => return failure(&error),
    };
    let progress = on_terminal(&paths);
    let input = io::stdin().lock();
    match send(&paths, "the other domain", output, input, progress) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => failure(&error),
    }
}
