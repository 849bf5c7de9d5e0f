// SPDX-License-Identifier: GPL-3.0-or-later
//! What is about the one policy that decides on this machine: its ledger, and the daemon that
//! keeps it. Each verb has a file of its own, with its arguments.

mod audit;
pub mod control;
mod grant;
mod quota;
mod record;
mod trace;

pub use grant::{covering, told as grant_told};

use clap::Subcommand;

use crate::client::Client;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub enum LiveCommand {
    /// Allow a call for a while
    Grant(grant::Grant),
    /// List what is allowed for a while
    #[command(after_long_help = grant::GRANTS_HELP)]
    Grants,
    /// End a grant, and the calls that rest on it
    Revoke(grant::Revoke),
    /// Show and set how often domains may call
    Quota(quota::Quota),
    /// Show decisions as they are made
    Trace(trace::Trace),
    /// Read, verify and export the ledger
    Audit(audit::Audit),
}

/// Does what is asked; the number is the exit code.
pub fn run(client: &Client, command: &LiveCommand, json: bool) -> Result<u8, Failure> {
    match command {
        LiveCommand::Grant(asked) => grant::grant(client, asked, json),
        LiveCommand::Grants => grant::grants(client, json),
        LiveCommand::Revoke(asked) => grant::revoke(client, asked, json),
        LiveCommand::Quota(asked) => quota::quota(client, asked, json),
        LiveCommand::Trace(asked) => trace::trace(client, asked, json),
        LiveCommand::Audit(asked) => audit::audit(client, asked, json),
    }
}
