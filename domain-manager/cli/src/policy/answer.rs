// SPDX-License-Identifier: GPL-3.0-or-later
//! The explanation of a call as one object for programs, and as text for people.

use std::fmt::Write as _;

use bulkhead_policy::{Policy, Rule, Verdict};
use policy_analysis::{Explanation, Field};
use policyd::GrantState;
use serde::Serialize;

/// What `explain` answers. The names of the keys are promised; see `explain --help`.
#[derive(Serialize)]
pub struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<serde_json::Value>,
    verdict: &'static str,
    reason: Option<String>,
    rule: Option<RuleText>,
    target: Option<String>,
    targets: Vec<String>,
    default_target: Option<String>,
    user: Option<String>,
    autostart: Option<bool>,
    notify: Option<bool>,
    requested_target: Option<String>,
    relay: Option<RelayText>,
    nearest: Vec<Nearest>,
    suggestion: Option<Suggested>,
    remarks: Vec<String>,
    /// What allows the call now besides; `None` where nobody was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<GrantState>>,
}

#[derive(Serialize)]
pub struct RuleText {
    pub file: String,
    pub line: u32,
    pub text: String,
}

#[derive(Serialize)]
struct RelayText {
    domain: String,
    service: String,
}

#[derive(Serialize)]
struct Nearest {
    #[serde(flatten)]
    rule: RuleText,
    action: &'static str,
    failed: Vec<Field>,
}

#[derive(Serialize)]
struct Suggested {
    rule: String,
    before: Option<Place>,
}

#[derive(Serialize)]
struct Place {
    file: String,
    line: u32,
}

/// A rule with its place and as it was written; a rule that was never written, as it would be.
pub fn rule_text(policy: &Policy, rule: &Rule) -> RuleText {
    let written = policy.sources().text(rule.span);
    RuleText {
        file: rule.location.file.to_string(),
        line: rule.location.line,
        text: match written.starts_with('!') {
            true => rule.to_string(),
            false => written.to_owned(),
        },
    }
}

impl Answer {
    /// What an explanation says.
    pub fn new(policy: &Policy, explanation: &Explanation<'_>) -> Self {
        let rule = |rule: &Rule| rule_text(policy, rule);
        let requested = explanation.target.as_ref().map(ToString::to_string);
        let mut answer = Self {
            rule: explanation.verdict.rule().map(rule),
            requested_target: requested,
            remarks: explanation.remarks.clone(),
            ..Self::without(explanation.verdict.word())
        };
        match &explanation.verdict {
            Verdict::Allow(grant) => {
                answer.target = Some(grant.destination().to_string());
                answer.user = grant.user().map(str::to_owned);
                answer.autostart = Some(grant.autostart());
                answer.notify = Some(grant.notify());
                answer.relay = grant.relay().map(|relay| RelayText {
                    domain: relay.domain.name.to_string(),
                    service: relay.service.clone(),
                });
            }
            Verdict::Ask(question) => {
                answer.targets = question.choices().iter().map(ToString::to_string).collect();
                answer.default_target = question.default().map(ToString::to_string);
                answer.user = question.user().map(str::to_owned);
                answer.autostart = Some(question.autostart());
                answer.notify = Some(question.rule().action.notify());
            }
            Verdict::Deny(reason) => {
                answer.reason = Some(reason.denial().to_string());
                answer.notify = Some(reason.notify());
            }
        }
        answer.nearest = explanation
            .nearest
            .iter()
            .map(|miss| Nearest {
                rule: rule(miss.rule),
                action: miss.rule.action.word(),
                failed: miss.failed.clone(),
            })
            .collect();
        answer.suggestion = explanation.suggestion.as_ref().map(|suggestion| Suggested {
            rule: suggestion.rule.clone(),
            before: suggestion.before.as_ref().map(|location| Place {
                file: location.file.to_string(),
                line: location.line,
            }),
        });
        answer
    }

    /// A call that is refused before any rule is looked at.
    pub fn denied(reason: String) -> Self {
        Self {
            reason: Some(reason),
            notify: Some(true),
            ..Self::without("deny")
        }
    }

    /// What makes no sense.
    pub fn error(reason: String) -> Self {
        Self {
            reason: Some(reason),
            ..Self::without("error")
        }
    }

    fn without(verdict: &'static str) -> Self {
        Self {
            id: None,
            verdict,
            reason: None,
            rule: None,
            target: None,
            targets: Vec::new(),
            default_target: None,
            user: None,
            autostart: None,
            notify: None,
            requested_target: None,
            relay: None,
            nearest: Vec::new(),
            suggestion: None,
            remarks: Vec::new(),
            grants: None,
        }
    }

    /// The command that lets a refused call through for a while, where one can, and nothing does yet.
    pub fn for_now(&self, source: &str, service: &str) -> Option<String> {
        let granted = self.grants.iter().flatten().next().is_some();
        let refused = self.verdict == "deny" && self.suggestion.is_some();
        let target = match self.requested_target.as_deref()? {
            "@default" => return None,
            "@adminvm" => "dom0",
            target => target,
        };
        let grantable = (refused || self.verdict == "ask") && !granted && target != source;
        grantable.then(|| format!("bulkhead policy grant {source} {target} {service} --for 10m"))
    }

    /// Whether there was a call and a policy at all.
    pub fn is_error(&self) -> bool {
        self.verdict == "error"
    }

    /// Why not; empty where the call may run.
    pub fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }

    /// As text for people.
    pub fn told(&self) -> String {
        let mut text = format!("{}\n", self.verdict);
        let mut line = |what: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {what:9} {value}");
        };
        if let Some(rule) = &self.rule {
            line("rule", &rule.text);
            line("", &format!("{}:{}", rule.file, rule.line));
        }
        if let Some(reason) = &self.reason {
            line("reason", reason);
        }
        if let Some(target) = &self.requested_target {
            line("asked for", target);
        }
        if let Some(target) = &self.target {
            line("goes to", target);
        }
        if let Some(relay) = &self.relay {
            line("through", &format!("{} ({})", relay.domain, relay.service));
        }
        if !self.targets.is_empty() {
            line("choices", &self.targets.join(", "));
        }
        if let Some(default) = &self.default_target {
            line("first", default);
        }
        if let Some(user) = &self.user {
            line("as user", user);
        }
        if self.autostart == Some(false) {
            line("starts", "nothing");
        }
        for remark in &self.remarks {
            line("note", remark);
        }
        for nearest in &self.nearest {
            let Nearest { rule, failed, .. } = nearest;
            let failed: Vec<_> = failed.iter().map(ToString::to_string).collect();
            let failed = failed.join(" and another ");
            line("near miss", &rule.text);
            line(
                "",
                &format!("{}:{}; another {failed}", rule.file, rule.line),
            );
        }
        if let Some(suggestion) = &self.suggestion {
            for (n, rule) in suggestion.rule.lines().enumerate() {
                line(if n == 0 { "to allow" } else { "" }, rule);
            }
            if let Some(before) = &suggestion.before {
                line("", &format!("before {}:{}", before.file, before.line));
            }
        }
        text
    }
}
