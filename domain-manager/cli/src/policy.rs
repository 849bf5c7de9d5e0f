// SPDX-License-Identifier: GPL-3.0-or-later
//! What policy says about a call, and what is wrong with it.

use std::fmt::Write as _;
use std::path::PathBuf;

use bulkhead_policy::{
    Call, DomainRef, Explanation, Policy, Rejected, Requested, Rule, System, Verdict,
};
use bulkhead_types::Service;
use policyd::{Directory, load_policy, render};
use serde::Serialize;

use crate::arguments::{Check, Explain};
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};

#[derive(Serialize)]
struct RuleText {
    file: String,
    line: u32,
    text: String,
}

#[derive(Serialize)]
struct Answer {
    verdict: &'static str,
    reason: Option<String>,
    rule: Option<RuleText>,
    target: Option<String>,
    destination: Vec<String>,
    user: Option<String>,
    nearest: Vec<Nearest>,
    remarks: Vec<String>,
}

#[derive(Serialize)]
struct Nearest {
    rule: RuleText,
    differs_in: String,
}

pub fn explain(client: &Client, asked: &Explain, json: bool) -> Result<(), Failure> {
    let policy = load(client, &asked.directories)?;
    let system = system(client, asked.system.as_ref())?;
    let bad = |what: &str, error: &dyn std::error::Error| {
        Failure::new(format!("that {what} makes no call")).because(error)
    };
    let call = Call {
        source: DomainRef::parse(&asked.source).map_err(|e| bad("source", &e))?,
        service: Service::parse(&asked.service).map_err(|e| bad("service", &e))?,
        target: Requested::parse(&asked.target).map_err(|e| bad("target", &e))?,
    };
    let answer = answer(&policy, policy.explain(&system, &call));
    match json {
        true => print_json(&answer),
        false => print(&told(&answer)),
    }
}

fn answer(policy: &Policy, explanation: Explanation) -> Answer {
    let verdict = &explanation.verdict;
    let rule = |rule: &Rule| RuleText {
        file: rule.location.file.to_string(),
        line: rule.location.line,
        text: policy.sources().text(rule.span).to_owned(),
    };
    let (reason, destination, user) = match verdict {
        Verdict::Allow(grant) => (None, vec![grant.destination().to_string()], grant.user()),
        Verdict::Ask(question) => {
            let choices = question.choices().iter().map(ToString::to_string);
            (None, choices.collect(), question.user())
        }
        Verdict::Deny(reason) => (Some(reason.to_string()), Vec::new(), None),
    };
    let nearest = explanation.nearest.iter().map(|miss| Nearest {
        rule: rule(&miss.rule),
        differs_in: miss.field.to_string(),
    });
    Answer {
        verdict: verdict.word(),
        reason,
        rule: verdict.rule().map(rule),
        target: explanation.target.as_ref().map(ToString::to_string),
        destination,
        user: user.map(str::to_owned),
        nearest: nearest.collect(),
        remarks: explanation.remarks.clone(),
    }
}

fn told(answer: &Answer) -> String {
    let mut text = format!("{}\n", answer.verdict);
    let mut line = |what: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {what:9} {value}");
    };
    if let Some(rule) = &answer.rule {
        line("rule", &rule.text);
        line("", &format!("{}:{}", rule.file, rule.line));
    }
    if let Some(reason) = &answer.reason {
        line("reason", reason);
    }
    if let Some(target) = &answer.target {
        line("target", target);
    }
    if !answer.destination.is_empty() {
        line("goes to", &answer.destination.join(", "));
    }
    if let Some(user) = &answer.user {
        line("as user", user);
    }
    for remark in &answer.remarks {
        line("note", remark);
    }
    for nearest in &answer.nearest {
        let rule = &nearest.rule;
        line(
            "near miss",
            &format!(
                "{}  ({}:{}; another {})",
                rule.text, rule.file, rule.line, nearest.differs_in
            ),
        );
    }
    text
}

pub fn check(client: &Client, asked: &Check, json: bool) -> Result<u8, Failure> {
    let (rejected, policy) = match load_policy(&directories(client, &asked.directories)) {
        Ok(policy) => (None, Some(policy)),
        Err(rejected) => (Some(rejected), None),
    };
    let warnings = policy.as_ref().map_or(&[][..], |policy| policy.warnings());
    let diagnostics = rejected
        .as_ref()
        .map_or(warnings, |rejected| &rejected.diagnostics);
    if json {
        #[derive(Serialize)]
        struct Checked {
            valid: bool,
            rules: usize,
            diagnostics: Vec<String>,
        }
        let messages = diagnostics.iter().map(|d| d.message.clone());
        print_json(&Checked {
            valid: policy.is_some(),
            rules: policy.as_ref().map_or(0, |policy| policy.rules().len()),
            diagnostics: messages.collect(),
        })?;
    } else if let Some(policy) = &policy {
        let shown = render(diagnostics, policy.sources(), false);
        if !shown.is_empty() {
            print(&format!("{shown}\n\n"))?;
        }
        let (rules, files) = (policy.rules().len(), policy.sources().files().count());
        print(&format!(
            "The policy is valid; rules: {rules}, files: {files}.\n"
        ))?;
    } else if let Some(rejected) = rejected {
        return Err(invalid(&rejected));
    }
    Ok(u8::from(policy.is_none()))
}

fn directories(client: &Client, given: &[PathBuf]) -> Vec<Directory> {
    match given.is_empty() {
        true => Directory::of(client.layout()),
        false => given.iter().map(Directory::required).collect(),
    }
}

fn load(client: &Client, given: &[PathBuf]) -> Result<Policy, Failure> {
    load_policy(&directories(client, given)).map_err(|rejected| invalid(&rejected))
}

fn invalid(rejected: &Rejected) -> Failure {
    let shown = render(&rejected.diagnostics, &rejected.sources, false);
    let errors = match rejected.errors() {
        1 => "an error".to_owned(),
        errors => format!("{errors} errors"),
    };
    Failure::new(format!(
        "the policy has {errors} and cannot go live\n\n{shown}\n"
    ))
    .hint("the last good policy stays live; without one, every call is refused")
}

fn system(client: &Client, file: Option<&PathBuf>) -> Result<System, Failure> {
    let (bytes, place) = match file {
        Some(path) => {
            let bytes = std::fs::read(path);
            let bytes = bytes.map_err(|error| {
                Failure::new(format!("cannot read {}", path.display())).because(&error)
            })?;
            (bytes, path.display().to_string())
        }
        None => (
            client.system_info()?,
            "the domain manager's answer".to_owned(),
        ),
    };
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(format!("{place} is no system information")).because(&error))
}
