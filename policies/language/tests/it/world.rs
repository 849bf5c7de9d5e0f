// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small system, policies and calls from text, and verdicts as text.

use std::collections::BTreeMap;

use bulkhead_policy::{
    Call, Domain, DomainRef, Includes, Policy, PolicyFile, Rejected, Requested, SourceMap, System,
    Unreadable, Verdict,
};

pub const WORK_UUID: &str = "uuid:11111111-1111-4111-8111-111111111111";
pub const BASE_UUID: &str = "uuid:33333333-3333-4333-8333-333333333333";
pub const DOM0_UUID: &str = "uuid:00000000-0000-0000-0000-000000000000";

pub fn domain(name: &str, class: &str) -> Domain {
    Domain {
        name: name.parse().unwrap(),
        class: class.to_owned(),
        uuid: None,
        tags: Vec::new(),
        template_for_dispvms: false,
        default_dispvm: None,
        power_state: "Running".to_owned(),
        label: "red".to_owned(),
        icon: String::new(),
        guivm: Some("dom0".parse().unwrap()),
        internal: false,
        relayvm: None,
        transport_rpc: None,
    }
}

/// `work` (tag `office`), `personal`, `vault` (halted, no default disposable), `hidden`
/// (internal), the disposable templates `disp-base` and `disp-net` (tag `online`), `template`,
/// the running disposable `disp1`, the remote domains `remote` (through `personal`) and `far`
/// (through nobody), and dom0.
pub fn system() -> System {
    let uuid = |text: &str| Some(text.strip_prefix("uuid:").unwrap().parse().unwrap());
    let base = || Some("disp-base".parse().unwrap());
    System::new([
        Domain {
            uuid: uuid(DOM0_UUID),
            guivm: None,
            tags: vec!["trusted".to_owned()],
            ..domain("dom0", "AdminVM")
        },
        Domain {
            uuid: uuid(WORK_UUID),
            tags: vec!["office".to_owned()],
            default_dispvm: base(),
            ..domain("work", "AppVM")
        },
        Domain {
            default_dispvm: base(),
            ..domain("personal", "AppVM")
        },
        Domain {
            power_state: "Halted".to_owned(),
            ..domain("vault", "AppVM")
        },
        Domain {
            internal: true,
            ..domain("hidden", "AppVM")
        },
        Domain {
            uuid: uuid(BASE_UUID),
            template_for_dispvms: true,
            power_state: "Halted".to_owned(),
            ..domain("disp-base", "AppVM")
        },
        Domain {
            template_for_dispvms: true,
            tags: vec!["online".to_owned()],
            power_state: "Halted".to_owned(),
            ..domain("disp-net", "AppVM")
        },
        domain("template", "TemplateVM"),
        Domain {
            default_dispvm: base(),
            ..domain("disp1", "DispVM")
        },
        domain("far", "RemoteVM"),
        Domain {
            relayvm: Some("personal".parse().unwrap()),
            transport_rpc: Some("my.Relay".to_owned()),
            ..domain("remote", "RemoteVM")
        },
    ])
}

pub fn policy(text: &str) -> Policy {
    match Policy::from_texts([("p", text)]) {
        Ok(policy) => policy,
        Err(rejected) => panic!("{rejected}"),
    }
}

pub fn call(source: &str, target: &str, service: &str) -> Call {
    Call {
        source: DomainRef::parse(source).unwrap(),
        service: service.parse().unwrap(),
        target: Requested::parse(target).unwrap(),
    }
}

/// A verdict in one line.
pub fn told(verdict: Verdict) -> String {
    match verdict {
        Verdict::Allow(grant) => {
            let mut text = format!("allow {}", grant.destination());
            if let Some(user) = grant.user() {
                text.push_str(&format!(" as {user}"));
            }
            text
        }
        Verdict::Ask(question) => {
            let choices = question.choices().iter().map(ToString::to_string);
            let mut text = format!("ask {}", choices.collect::<Vec<_>>().join(","));
            if let Some(default) = question.default() {
                text.push_str(&format!(" default {default}"));
            }
            text
        }
        Verdict::Deny(reason) => format!("deny: {reason}"),
    }
}

/// Decides the call `SOURCE TARGET` of service `s` by a policy of the given rules.
pub fn decide(rules: &str, source: &str, target: &str) -> String {
    told(policy(rules).evaluate(&system(), &call(source, target, "s")))
}

/// Files by path, in memory.
pub struct Files(pub BTreeMap<String, String>);

impl Includes for Files {
    fn read(&self, path: &str) -> Result<String, Unreadable> {
        self.0.get(path).cloned().ok_or(Unreadable::Missing)
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, Unreadable> {
        let prefix = format!("{directory}/");
        let names = self.0.keys().filter_map(|path| path.strip_prefix(&prefix));
        let names: Vec<_> = names
            .filter(|n| !n.contains('/'))
            .map(str::to_owned)
            .collect();
        match names.is_empty() {
            true => Err(Unreadable::Missing),
            false => Ok(names),
        }
    }

    fn old_directory(&self) -> Option<String> {
        Some("/old".to_owned())
    }
}

/// Loads `/p/30.policy` with other files to include.
pub fn load(text: &str, others: &[(&str, &str)]) -> Result<Policy, Rejected> {
    let others = others
        .iter()
        .map(|(path, text)| (path.to_string(), text.to_string()));
    let file = PolicyFile {
        directory: "/p".to_owned(),
        name: "30.policy".to_owned(),
        text: text.to_owned(),
    };
    Policy::load(&[file], &Files(others.collect()))
}

/// Diagnostics as plain lines: place, severity, message, then label, notes and help.
pub fn shown(rejected: &Rejected) -> String {
    let mut text = String::new();
    for d in &rejected.diagnostics {
        let alone = Rejected {
            diagnostics: vec![d.clone()],
            sources: rejected.sources.clone(),
        };
        text.push_str(&format!("{alone}\n"));
        if let Some(span) = d.span {
            text.push_str(&underlined(&rejected.sources, span, &d.label));
        }
        for note in &d.notes {
            text.push_str(&format!("  note: {}\n", note.message));
        }
        if let Some(help) = &d.help {
            text.push_str(&format!("  help: {}\n", help.message));
        }
    }
    text
}

fn underlined(sources: &SourceMap, span: bulkhead_policy::Span, label: &str) -> String {
    let at = sources.location(span);
    let line = sources
        .file(span.file)
        .text
        .lines()
        .nth(at.line as usize - 1)
        .unwrap_or_default();
    let visible = |c: char| c == ' ' || c.is_alphanumeric() || c.is_ascii_punctuation();
    let line: String = line
        .chars()
        .map(|c| if visible(c) { c } else { '·' })
        .collect();
    let carets = "^".repeat(sources.text(span).chars().count().max(1));
    let indent = " ".repeat(at.column as usize - 1);
    format!("  | {line}\n  | {indent}{carets} {label}\n")
}

/// What is wrong with a policy of one file.
pub fn errors(text: &str) -> String {
    shown(&Policy::from_texts([("p", text)]).unwrap_err())
}
