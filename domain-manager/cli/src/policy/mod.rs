// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy`: what policy says, what is wrong with it, and what a change of it changes.
//!
//! Whatever only reads a policy works on the system's own policy and domains, or on any others that
//! `--policy` and `--system` name; then nothing has to run.

mod answer;
pub mod arguments;
mod change;
mod check;
mod diagnostics;
mod diff;
mod explain;
mod fmt;
pub mod generation;
mod graph;
pub mod live;
mod matrix;
mod signing;
mod source;
mod test;
mod who;

use arguments::PolicyCommand;

use crate::client::Client;
use crate::failure::Failure;

/// Does what is asked; the number is the exit code.
pub fn run(client: &Client, command: &PolicyCommand, json: bool) -> Result<u8, Failure> {
    match command {
        PolicyCommand::Explain(asked) => explain::explain(client, asked, json),
        PolicyCommand::Check(asked) => check::check(client, asked, json),
        PolicyCommand::Test(asked) => test::test(client, asked, json),
        PolicyCommand::Diff(asked) => diff::diff(client, asked, json),
        PolicyCommand::Fmt(asked) => fmt::fmt(client, asked),
        PolicyCommand::WhoCan(asked) => who::show(client, asked, json),
        PolicyCommand::Matrix(asked) => matrix::matrix(client, asked, json),
        PolicyCommand::Graph(asked) => graph::graph(client, asked, json),
        PolicyCommand::Apply(asked) => generation::apply::apply(client, asked, json),
        PolicyCommand::Log(asked) => generation::log::log(client, asked, json),
        PolicyCommand::Rollback(asked) => generation::rollback::rollback(client, asked, json),
        PolicyCommand::Status(asked) => generation::status::status(client, asked, json),
        PolicyCommand::NewKey(asked) => signing::new_key(asked),
        PolicyCommand::Sign(asked) => signing::sign(asked),
        PolicyCommand::Change(asked) => change::run(client, asked),
        PolicyCommand::Live(asked) => live::run(client, asked, json),
    }
}
