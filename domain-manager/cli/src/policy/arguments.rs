// SPDX-License-Identifier: GPL-3.0-or-later
//! What can be said to `bulkhead policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Say what becomes of a call, and why
    Explain(Explain),
    /// Say what is wrong with the policy
    Check(Check),
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

#[derive(Debug, Args)]
#[command(after_long_help = EXPLAIN_HELP)]
pub struct Explain {
    /// The domain that calls
    #[arg(required_unless_present = "batch")]
    pub source: Option<String>,
    /// The domain that is called, as the caller names it: a name, @dispvm, @default …
    #[arg(required_unless_present = "batch")]
    pub target: Option<String>,
    /// The service, with `+ARGUMENT` if it has one
    #[arg(required_unless_present = "batch")]
    pub service: Option<String>,
    /// Read a call per line as JSON, and answer each with a line of JSON
    #[arg(long, conflicts_with_all = ["source", "target", "service"])]
    pub batch: bool,
    #[command(flatten)]
    pub policy: PolicyFrom,
    #[command(flatten)]
    pub system: SystemFrom,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

const EXPLAIN_HELP: &str = "\
In JSON, an answer is one object:
  verdict           allow, ask, deny, or error when the call or the policy makes no sense
  reason            why not, for deny and error
  rule              the rule that decided: file, line, text
  target            where an allowed call goes: a name, dom0 or @dispvm:NAME
  targets           where a call may go that is asked for
  default_target    the one of them that is offered first
  user              who runs the service, when the rule says so
  autostart         whether a halted target is started
  notify            whether the user is told
  requested_target  the target as rules see it
  relay             for a remote domain: the domain that carries the call, and its service
  nearest           for a denial without a rule: the rules that come nearest (file, line, text),
                    with the fields that failed
  suggestion        the smallest rule that would allow exactly this call (rule), and the rule it
                    has to stand before (before: file, line)
  remarks           what else is remarkable

With --batch, a line is an object with the keys
  source            the domain that calls
  target            the target as the caller names it; without it, @default
  service           the service, with or without +ARGUMENT
  argument          the argument, if it does not stand behind the service
  requested_source  the remote domain that the caller speaks for, if any
  id                anything; the answer repeats it
A line that is no such object is answered with the verdict error.";

#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub policy: PolicyFrom,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}
