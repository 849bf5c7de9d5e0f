// SPDX-License-Identifier: GPL-3.0-or-later
//! Sends files in the format of `qubes.Filecopy` over standard output and reads the answer
//! from standard input: the local program of a call.
//!
//! `qrexec-client-vm work qubes.Filecopy /usr/lib/bulkhead/qfile-sender FILE…`
#![forbid(unsafe_code)]

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use bulkhead_files::report::{failure, usage};
use bulkhead_files::send::{Links, as_asked, contents, send_with};

fn main() -> ExitCode {
    let (links, paths) = arguments(env::args_os().skip(1));
    if paths.is_empty() {
        usage("qfile-sender [--ignore-symlinks] [--] FILE…");
        return ExitCode::from(2);
    }
    // Past the line buffer of the standard output.
    let output = match io::stdout().as_fd().try_clone_to_owned() {
        Ok(output) => File::from(output),
        Err(error) => return failure(&error),
    };
    let [kind, saved_output] =
        ["PROGRESS_TYPE", "SAVED_FD_1"].map(|name| env::var(name).unwrap_or_default());
    let said = |text| Some(text).filter(|text: &&str| !text.is_empty());
    let progress = as_asked(|| contents(&paths), said(&kind), said(&saved_output));
    let input = io::stdin().lock();
    match send_with(&paths, links, "the other domain", output, input, progress) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => failure(&error),
    }
}

/// Options may stand between the files, as those who call this program are used to; after `--` there are only
/// files.
fn arguments(words: impl Iterator<Item = OsString>) -> (Links, Vec<PathBuf>) {
    let (mut links, mut paths, mut options) = (Links::Sent, Vec::new(), true);
    for word in words {
        if options && word == "--ignore-symlinks" {
            links = Links::LeftOut;
        } else if options && word == "--" {
            options = false;
        } else {
            paths.push(word.into());
        }
    }
    (links, paths)
}
