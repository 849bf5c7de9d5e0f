// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy test`.

use std::path::{Path, PathBuf};

use bulkhead_policy::{Diagnostic, Policy, SourceMap, System};
use clap::Args;
use policy_analysis::Expectations;
use policyd::render;
use serde::Serialize;

use super::arguments::{Format, PolicyFrom, SystemFrom};
use super::diagnostics::DiagnosticText;
use super::generation::activation;
use super::source;
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};

#[derive(Debug, Args)]
#[command(after_long_help = TEST_HELP)]
pub struct Test {
    /// Files of expectations instead of all `*.test` in the policy directories
    files: Vec<PathBuf>,
    #[command(flatten)]
    policy: PolicyFrom,
    #[command(flatten)]
    system: SystemFrom,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const TEST_HELP: &str = "\
A file of expectations declares domains and says what has to come of calls between them:

  domain work       AppVM  default_dispvm=disp-base tags=office,backed-up
  domain disp-base  AppVM  template_for_dispvms halted

  work -> vault    qubes.Filecopy  deny
  work -> @dispvm  qubes.OpenInVM  allow target=@dispvm:disp-base
  work ->          qubes.Gpg       ask   default_target=vault targets=vault,work-gpg
  @anyvm -> vault  qubes.VMShell   deny  notify=yes

@anyvm, *, @tag:TAG and @type:CLASS mean all domains of that kind: an expectation is met if every call
of it is decided so. A remote domain has `relayvm=` and `transport_rpc=`, and `guivm=` alone is a domain
on nobody's screen. `allow` may be followed by target, `ask` by default_target and targets, both by user
and autostart, and each verdict by notify.

A file that declares no domain is about those that the domain manager tells of, or those of --system.

The exit code is 0 when every expectation is met, 1 when one is not or makes no sense, or the policy has
errors; 2 for wrong usage.";

#[derive(Serialize)]
struct Tested {
    passed: usize,
    failed: usize,
    files: Vec<FileTested>,
}

#[derive(Serialize)]
struct FileTested {
    file: String,
    expectations: usize,
    failures: Vec<DiagnosticText>,
}

pub fn test(client: &Client, asked: &Test, json: bool) -> Result<u8, Failure> {
    let policy = source::working(client, &asked.policy);
    let policy = policy.map_err(|rejected| source::invalid(&rejected))?;
    let system = match &asked.system.system {
        Some(_) => source::system(client, &asked.system)?,
        // As for `apply`: without it, what declares its own domains is tested all the same.
        None => activation::around(client).unwrap_or_default(),
    };
    let files = match asked.files.is_empty() {
        true => source::files_ending(&source::directories(client, &asked.policy), "test")?,
        false => asked.files.clone(),
    };
    let mut tested = Tested {
        passed: 0,
        failed: 0,
        files: Vec::new(),
    };
    let mut shown = String::new();
    for file in files {
        let (count, failures, sources) = run(&file, &policy, &system)?;
        if !failures.is_empty() {
            shown.push_str(&render(&failures, &sources, false));
            shown.push_str("\n\n");
        }
        tested.failed += failures.len();
        tested.passed += count.saturating_sub(failures.len());
        let failures = failures.iter().map(|d| DiagnosticText::new(d, &sources));
        tested.files.push(FileTested {
            file: file.display().to_string(),
            expectations: count,
            failures: failures.collect(),
        });
    }
    match json || asked.format == Format::Json {
        true => print_json(&tested)?,
        false => {
            let (met, failed) = (tested.passed, tested.failed);
            let files = tested.files.len();
            print(&format!(
                "{shown}Expectations met: {met}, not met: {failed}; files: {files}.\n"
            ))?;
        }
    }
    Ok(u8::from(tested.failed > 0))
}

/// How many expectations a file holds, which of them fail, and the text they stand in. A file
/// that makes no sense fails as a whole.
pub fn run(
    file: &Path,
    policy: &Policy,
    system: &System,
) -> Result<(usize, Vec<Diagnostic>, SourceMap), Failure> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(format!("cannot read {name}")).because(&error))?;
    Ok(match Expectations::parse(&name, &text) {
        Ok(expectations) => {
            let failed = expectations.check(policy, system);
            (expectations.len(), failed, expectations.sources().clone())
        }
        Err(rejected) => (0, rejected.diagnostics, rejected.sources),
    })
}
