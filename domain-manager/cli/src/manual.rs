// SPDX-License-Identifier: GPL-3.0-or-later
//! The manual pages, from the command line's own description: one for each verb.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::list::print;

#[derive(Debug, Args)]
pub struct Manual {
    /// A directory, made if it is not there, such as `man1` of a package that is built
    directory: PathBuf,
}

/// Writes a page for each verb into a directory.
pub fn write(asked: &Manual) -> Result<(), Failure> {
    let command = Arguments::command().disable_help_subcommand(true);
    let made = std::fs::create_dir_all(&asked.directory);
    let written = made.and_then(|()| clap_mangen::generate_to(command, &asked.directory));
    written.map_err(|error| {
        let directory = asked.directory.display();
        Failure::new(format!("cannot write manual pages into {directory}")).because(&error)
    })?;
    print(&format!(
        "The manual is in {}.\n",
        asked.directory.display()
    ))
}
