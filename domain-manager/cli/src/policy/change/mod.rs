// SPDX-License-Identifier: GPL-3.0-or-later
//! Changing policy files: each change is checked and tested as part of the whole before a byte is
//! written, and what it changes is shown.

mod commit;
mod edit;
mod file;
mod rules;

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use policy_administration::Set;

use super::arguments::SystemFrom;
use crate::client::Client;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub enum ChangeCommand {
    /// Change a policy file in an editor
    Edit(edit::Edit),
    /// Make a new policy file in an editor
    New(edit::New),
    /// Add a rule where it takes effect
    Add(rules::Add),
    /// Take a rule out
    Remove(rules::Remove),
}

/// What is changed, and what becomes of the change.
#[derive(Debug, Args)]
pub struct Changing {
    /// A policy directory instead of the system's working copy
    #[arg(long = "policy", value_name = "DIR")]
    directory: Option<PathBuf>,
    #[command(flatten)]
    system: SystemFrom,
    /// Make the working copy live at once, as `apply` does; why, for the log
    #[arg(long, short, conflicts_with = "directory", value_parser = NonEmptyStringValueParser::new())]
    message: Option<String>,
    /// A private key to sign with; several for several owners
    #[arg(long = "sign", value_name = "KEY", requires = "message")]
    keys: Vec<PathBuf>,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Does what is asked; the number is the exit code.
pub fn run(client: &Client, command: &ChangeCommand) -> Result<u8, Failure> {
    match command {
        ChangeCommand::Edit(asked) => edit::edit(client, asked),
        ChangeCommand::New(asked) => edit::new(client, asked),
        ChangeCommand::Add(asked) => rules::add(client, asked),
        ChangeCommand::Remove(asked) => rules::remove(client, asked),
    }
}

/// The files that are changed.
fn set(client: &Client, changing: &Changing) -> Result<Set, Failure> {
    let [_, own] = client.layout().policy_dirs();
    let (base, old) = match &changing.directory {
        Some(directory) => (directory.clone(), None),
        None => (own, Some(client.layout().old_policy_dir())),
    };
    let set = Set::read(&base, old.as_deref());
    set.map_err(|error| Failure::new("the policy directory cannot be read").because(&error))
}
