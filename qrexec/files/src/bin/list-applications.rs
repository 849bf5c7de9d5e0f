// SPDX-License-Identifier: GPL-3.0-or-later
//! The service `qubes.GetAppmenus`: lists the applications of this guest for dom0's menu.
#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;

use bulkhead_files::applications::{folders, list};
use bulkhead_files::report::failure;

fn main() -> ExitCode {
    let folders = folders(|name| std::env::var(name).ok());
    match list(&folders, io::BufWriter::new(io::stdout().lock())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error),
    }
}
