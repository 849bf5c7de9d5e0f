// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy fmt`.

use std::io::Read;
use std::path::{Path, PathBuf};

use bulkhead_policy::{Includes, Policy, PolicyFile, Unreadable};
use clap::Args;
use policy_administration::replace_file;
use policy_analysis::format_policy;
use policyd::{old_style, render};

use super::arguments::PolicyFrom;
use super::source;
use crate::client::Client;
use crate::failure::Failure;
use crate::list::print;

#[derive(Debug, Args)]
#[command(after_long_help = FMT_HELP)]
pub struct Fmt {
    /// Files instead of all in the policy directories; `-` is standard input
    files: Vec<PathBuf>,
    #[command(flatten)]
    policy: PolicyFrom,
    /// Change nothing; name the files that would change, and exit with 1 if there are any
    #[arg(long)]
    check: bool,
}

const FMT_HELP: &str = "\
Fields of neighbouring rules stand below each other, more than one empty line becomes one, and lines end
as on Unix. Comments and options stay as they are; laying out twice changes nothing. A file with errors
is left as it is, and shown with them; so is one of the older style.

The exit code is 0 when all is laid out, 1 when a file has errors or cannot be read or written, or, with
--check, would change; 2 for wrong usage.";

pub fn fmt(client: &Client, asked: &Fmt) -> Result<u8, Failure> {
    if asked.files == [Path::new("-")] {
        return standard_input(asked.check);
    }
    let files = match asked.files.is_empty() {
        true => source::policy_files(&source::directories(client, &asked.policy))?,
        false => asked.files.clone(),
    };
    let (mut changed, mut failed) = (false, false);
    for file in files {
        match one(&file, asked.check) {
            Ok(changes) => changed |= changes,
            Err(failure) => {
                failed = true;
                eprint!("{failure}");
            }
        }
    }
    Ok(u8::from(failed || asked.check && changed))
}

/// Lays out one file, and says so; whether it was not laid out before.
fn one(file: &PathBuf, check: bool) -> Result<bool, Failure> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(format!("cannot read {name}")).because(&error))?;
    if let Some(service) = old_style(file, &text) {
        return Err(Failure::new(format!(
            "{name} is left as it is: it looks like an old-style policy file, for the service `{service}`"
        ))
        .hint("only files with `SERVICE ARGUMENT SOURCE TARGET ACTION` in a line are laid out"));
    }
    let formatted = laid_out(&name, &text)?;
    if formatted == text {
        return Ok(false);
    }
    if check {
        print(&format!("{name}\n"))?;
        return Ok(true);
    }
    replace_file(file, formatted.as_bytes())
        .map_err(|error| Failure::new(format!("cannot write {name}")).because(&error))?;
    print(&format!("Laid out {name}{}.\n", line_ends(&text)))?;
    Ok(true)
}

fn standard_input(check: bool) -> Result<u8, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|error| Failure::new("cannot read standard input").because(&error))?;
    let formatted = laid_out("standard input", &text)?;
    if check {
        return Ok(u8::from(formatted != text));
    }
    print(&formatted)?;
    Ok(0)
}

/// What is said of line ends that change.
fn line_ends(text: &str) -> &'static str {
    match text.contains("\r\n") {
        true => ", with line ends LF instead of CRLF",
        false => "",
    }
}

/// The text laid out, if it has no errors by itself.
fn laid_out(name: &str, text: &str) -> Result<String, Failure> {
    let file = PolicyFile {
        directory: String::new(),
        name: name.to_owned(),
        text: text.to_owned(),
    };
    match Policy::load(&[file], &Elsewhere) {
        Ok(_) => Ok(format_policy(text)),
        Err(rejected) => {
            let errors = source::errors(&rejected);
            let shown = render(&rejected.diagnostics, &rejected.sources, false);
            Err(Failure::new(format!(
                "{name} has {errors} and is left as it is\n\n{shown}\n"
            )))
        }
    }
}

/// Whatever a file includes is laid out by itself, if it is there at all.
struct Elsewhere;

impl Includes for Elsewhere {
    fn read(&self, _: &str) -> Result<String, Unreadable> {
        Ok(String::new())
    }

    fn list(&self, _: &str) -> Result<Vec<String>, Unreadable> {
        Ok(Vec::new())
    }

    fn old_directory(&self) -> Option<String> {
        Some(String::new())
    }
}
