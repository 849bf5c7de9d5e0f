// SPDX-License-Identifier: GPL-3.0-or-later
//! What is about the one policy that decides on this machine: its ledger, and the daemon that
//! keeps it. Each verb has a file of its own, with its arguments.

mod audit;

use clap::Subcommand;

use crate::client::Client;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub enum LiveCommand {
    /// Read, verify and export the ledger
    Audit(audit::Audit),
}

/// Does what is asked; the number is the exit code.
pub fn run(client: &Client, command: &LiveCommand, json: bool) -> Result<u8, Failure> {
    match command {
        LiveCommand::Audit(asked) => audit::audit(client, asked, json),
    }
}
