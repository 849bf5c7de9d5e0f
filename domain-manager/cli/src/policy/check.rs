// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy check`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use bulkhead_policy::{Diagnostic, Policy, SourceMap};
use clap::Args;
use policy_analysis::{Networks, each_once, lint};
use policyd::{render, written_files};
use serde::Serialize;

use super::arguments::{Format, PolicyFrom, SystemFrom};
use super::diagnostics::DiagnosticText;
use super::source;
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};

#[derive(Debug, Args)]
#[command(after_long_help = CHECK_HELP)]
pub struct Check {
    /// Files that make up a policy by themselves, instead of policy directories
    #[arg(conflicts_with = "directories")]
    files: Vec<PathBuf>,
    /// The files are old-style ones, each named after its service, as `!compat-4.0` reads them
    #[arg(long, requires = "files", conflicts_with = "old")]
    old_style: bool,
    #[command(flatten)]
    policy: PolicyFrom,
    #[command(flatten)]
    system: SystemFrom,
    /// Exit with 1 for warnings as well
    #[arg(long)]
    strict: bool,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const CHECK_HELP: &str = "\
Errors keep a policy from going live. Warnings have a code, and keep it from nothing; a name that is
missing is told once, where it stands first:
  shadowed             an earlier rule takes all calls of this one
  dangerous-wildcard   every domain may do what amounts to control, unasked
  unknown-service      the service looks like a misspelt one
and, with --system,
  never-decides        earlier rules together take all calls of this one
  no-such-domain       also no-such-tag, no-such-class: what the rule names is not there
  not-a-template       a disposable of what is no template for disposables
  never-answered       the rule asks, and there is nobody to ask, or nothing to choose
  default-not-offered  the default target is never among the choices
  reaches-dom0         a domain controls dom0 over others, by calls that are allowed unasked
  reaches-network      a domain without network whose data can get there over others
  reaches-offline      a domain with network that controls one without over others
The last two need `netvm` for domains in the system information: a name, or null for none.

In JSON, `diagnostics` holds objects with severity, code, message, file, line, column, end, label,
notes, help and replacement.

The exit code is 0 for a policy without errors, 1 for one with errors or that cannot be read, and with
--strict also for one with warnings; 2 for wrong usage.";

#[derive(Serialize)]
struct Checked {
    valid: bool,
    rules: usize,
    files: usize,
    diagnostics: Vec<DiagnosticText>,
}

pub fn check(client: &Client, asked: &Check, json: bool) -> Result<u8, Failure> {
    let json = json || asked.format == Format::Json;
    let read = match asked.files.is_empty() {
        true => source::working(client, &asked.policy),
        false if asked.old_style => policyd::load_old_files(&asked.files).map_err(Box::new),
        false => source::alone(&asked.files, asked.policy.old.as_deref()),
    };
    let policy = match read {
        Ok(policy) => policy,
        Err(rejected) if json => {
            let texts = rejected.diagnostics.iter();
            print_json(&Checked {
                valid: false,
                rules: 0,
                files: files_in(&rejected.sources),
                diagnostics: texts
                    .map(|d| DiagnosticText::new(d, &rejected.sources))
                    .collect(),
            })?;
            return Ok(1);
        }
        Err(rejected) => return Err(source::invalid(&rejected)),
    };
    let findings = findings(client, asked, &policy)?;
    let code = u8::from(asked.strict && !findings.is_empty());
    let (rules, files) = (policy.rules().len(), files_in(policy.sources()));
    if json {
        let texts = findings
            .iter()
            .map(|d| DiagnosticText::new(d, policy.sources()));
        print_json(&Checked {
            valid: true,
            rules,
            files,
            diagnostics: texts.collect(),
        })?;
        return Ok(code);
    }
    let shown = render(&findings, policy.sources(), false);
    if !shown.is_empty() {
        print(&format!("{shown}\n\n"))?;
    }
    print(&format!(
        "The policy is valid; rules: {rules}, files: {files}.\n"
    ))?;
    Ok(code)
}

/// How many files there are, each once however often it is included.
fn files_in(sources: &SourceMap) -> usize {
    let names: BTreeSet<&str> = written_files(sources).collect();
    names.len()
}

/// What the parser warned of, and what lint finds: by the policy alone, or in the domains that
/// are named or, for the system's own policy, there.
fn findings(client: &Client, asked: &Check, policy: &Policy) -> Result<Vec<Diagnostic>, Failure> {
    let own = asked.files.is_empty() && asked.policy.directories.is_empty();
    let system = match &asked.system.system {
        Some(_) => Some(source::system_and_networks(client, &asked.system)?),
        // The domain manager need not run for a check of the text.
        None if own => source::system_and_networks(client, &asked.system).ok(),
        None => None,
    };
    let (system, networks) = match &system {
        Some((system, networks)) => (Some(system), Some(networks)),
        None => (None, None),
    };
    let networks = networks.filter(|networks: &&Networks| !networks.is_empty());
    let mut findings = policy.warnings().to_vec();
    findings.extend(lint(policy, system, networks));
    Ok(each_once(findings, policy.sources()))
}
