// SPDX-License-Identifier: GPL-3.0-or-later
//! What can be said to `bulkhead policy`: its verbs, and the words that several of them share.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{
    change, check, diff, explain, fmt, generation, graph, live, matrix, signing, test, who,
};

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Say what becomes of a call, and why
    Explain(explain::Explain),
    /// Say what is wrong with the policy
    Check(check::Check),
    /// Hold the policy against the expectations in `*.test` files
    Test(test::Test),
    /// Say which decisions differ between two policies
    Diff(diff::Diff),
    /// Lay out policy files, with the fields of rules below each other
    Fmt(fmt::Fmt),
    /// Say who may call a service
    WhoCan(who::WhoCan),
    /// Show who may call whom as a table
    Matrix(matrix::MatrixOf),
    /// Draw who may call what of whom
    Graph(graph::GraphOf),
    #[command(flatten)]
    Change(change::ChangeCommand),
    /// Make the working copy the live policy, whole, as a new generation
    Apply(generation::apply::Apply),
    /// List the generations
    Log(generation::log::Log),
    /// Make an older generation live again
    Rollback(generation::rollback::Rollback),
    /// Say which generation is live, and what the working copy changes
    Status(generation::log::Log),
    /// Make a key to sign generations with
    NewKey(signing::NewKey),
    /// Sign a proposed generation, on whatever machine the key is
    Sign(signing::Sign),
    #[command(flatten)]
    Live(live::LiveCommand),
}

/// How to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Which policy, instead of the system's own.
#[derive(Debug, Args)]
pub struct PolicyFrom {
    /// A policy directory instead of the system's; several, highest priority first
    #[arg(long = "policy", value_name = "DIR")]
    pub directories: Vec<PathBuf>,
    /// The directory that `!compat-4.0` reads; without it, `../../qubes-rpc/policy` as seen
    /// from the last policy directory
    #[arg(long = "old-policy", value_name = "DIR")]
    pub old: Option<PathBuf>,
}

/// Which domains, instead of the system's own.
#[derive(Debug, Args)]
pub struct SystemFrom {
    /// A file with the system information (JSON of `internal.GetSystemInfo`) instead of what
    /// the domain manager says
    #[arg(long, value_name = "FILE")]
    pub system: Option<PathBuf>,
}
