// SPDX-License-Identifier: GPL-3.0-or-later
//! The manual pages, from the command line's own description: one for each verb.

use std::path::{Path, PathBuf};
use std::{fs, io};

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
    let made = fs::create_dir_all(&asked.directory);
    let written = made.and_then(|()| clap_mangen::generate_to(command, &asked.directory));
    let written = written.and_then(|()| lay_out(&asked.directory));
    written.map_err(|error| {
        let directory = asked.directory.display();
        Failure::new(format!("cannot write manual pages into {directory}")).because(&error)
    })?;
    print(&format!(
        "The manual is in {}.\n",
        asked.directory.display()
    ))
}

/// Has the pages that were written keep words whole, and their tables and examples as they are.
fn lay_out(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let page = entry?.path();
        let name = page.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("bulkhead") && name.ends_with(".1") {
            let text = fs::read_to_string(&page)?;
            fs::write(&page, laid_out(&text))?;
        }
    }
    Ok(())
}

fn laid_out(page: &str) -> String {
    let mut laid_out = String::new();
    let mut as_is = false;
    for line in page.lines() {
        // An empty line belongs to what stands before it.
        if !line.is_empty() && line.starts_with("  ") != as_is {
            as_is = !as_is;
            laid_out.push_str(if as_is { ".nf\n" } else { ".fi\n" });
        }
        laid_out.push_str(line);
        laid_out.push('\n');
        if line.starts_with(".TH ") {
            // No word is divided: it may be one to type.
            laid_out.push_str(".nh\n");
        }
    }
    laid_out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_indented_stays_as_it_is() {
        let page = ".TH page 1\n.SH EXTRA\nTerms:\n  a=b    c\n\n  d      e\nText.\n";
        assert_eq!(
            laid_out(page),
            ".TH page 1\n.nh\n.SH EXTRA\nTerms:\n.nf\n  a=b    c\n\n  d      e\n.fi\nText.\n"
        );
    }
}
