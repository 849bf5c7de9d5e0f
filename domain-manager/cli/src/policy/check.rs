// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy check`.

use policyd::render;
use serde::Serialize;

use super::arguments::{Check, Format};
use super::diagnostics::DiagnosticText;
use super::source;
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};

pub fn check(client: &Client, asked: &Check, json: bool) -> Result<u8, Failure> {
    let json = json || asked.format == Format::Json;
    let read = match asked.files.is_empty() {
        true => source::read(client, &asked.policy),
        false => source::alone(&asked.files, asked.policy.old.as_deref()),
    };
    if json {
        #[derive(Serialize)]
        struct Checked {
            valid: bool,
            rules: usize,
            diagnostics: Vec<DiagnosticText>,
        }
        let (diagnostics, sources) = match &read {
            Ok(policy) => (policy.warnings(), policy.sources()),
            Err(rejected) => (&rejected.diagnostics[..], &rejected.sources),
        };
        let diagnostics = diagnostics.iter().map(|d| DiagnosticText::new(d, sources));
        print_json(&Checked {
            valid: read.is_ok(),
            rules: read.as_ref().map_or(0, |policy| policy.rules().len()),
            diagnostics: diagnostics.collect(),
        })?;
        return Ok(u8::from(read.is_err()));
    }
    let policy = read.map_err(|rejected| source::invalid(&rejected))?;
    let shown = render(policy.warnings(), policy.sources(), false);
    if !shown.is_empty() {
        print(&format!("{shown}\n\n"))?;
    }
    let (rules, files) = (policy.rules().len(), policy.sources().files().count());
    print(&format!(
        "The policy is valid; rules: {rules}, files: {files}.\n"
    ))?;
    Ok(0)
}
