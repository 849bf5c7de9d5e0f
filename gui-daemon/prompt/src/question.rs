// SPDX-License-Identifier: GPL-3.0-or-later
//! A question in the words in which it is shown.

use std::collections::BTreeMap;

use bulkhead_types::Label;
use policy_agent_protocol::{Ask, Choice, Lasting};

use crate::services::Services;
use crate::text::{self, shown};

/// A question in words. Each text can be shown as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The domain that calls.
    pub source: String,
    /// Its label, if it has one of those that there are.
    pub label: Option<Label>,
    /// What it wants: a sentence that begins with its name.
    pub sentence: String,
    /// What agreeing means.
    pub means: String,
    /// The service's name.
    pub service: String,
    /// What the argument is, and the argument.
    pub argument: Option<(String, String)>,
    /// Where the caller wanted the call to go, if it said that.
    pub requested: Option<String>,
    /// Where it may go, in the order of the names, domains first.
    pub targets: Vec<Target>,
    /// The target to begin with.
    pub default_target: Option<Choice>,
    /// For how long the answer may count; never nothing.
    pub lasting: Vec<Lasting>,
    /// The rule that asks.
    pub rule: Option<String>,
}

/// A place where a call may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What is answered.
    pub choice: Choice,
    /// The name that is shown.
    pub title: String,
    /// What it is, where that is not an ordinary domain.
    pub kind: &'static str,
    /// Its label, if it has one of those that there are.
    pub label: Option<Label>,
}

impl Target {
    fn new(choice: &Choice, labels: &BTreeMap<String, String>) -> Self {
        let dom0 = !choice.is_disposable() && choice.domain().is_dom0();
        Self {
            label: label(labels, &choice.to_string()),
            title: shown(choice.domain().as_str(), text::OTHER),
            kind: match choice {
                Choice::Disposable(_) => "new disposable, gone after the call",
                Choice::Domain(_) if dom0 => "the administrative domain",
                Choice::Domain(_) => "",
            },
            choice: choice.clone(),
        }
    }

    /// Whether it is found by `search`: each word of it is part of the name or of the kind.
    pub fn matches(&self, search: &str) -> bool {
        let text = format!("{} {} {}", self.choice, self.kind, self.label_name()).to_lowercase();
        let search = search.to_lowercase();
        search.split_whitespace().all(|word| text.contains(word))
    }

    /// The label's name, or nothing.
    pub fn label_name(&self) -> &'static str {
        self.label.map_or("", Label::name)
    }

    /// What a screen reader says.
    pub fn spoken(&self) -> String {
        let mut text = self.title.clone();
        if !self.kind.is_empty() {
            text.push_str(&format!(", {}", self.kind));
        }
        if let Some(label) = self.label {
            text.push_str(&format!(", label {label}"));
        }
        text
    }
}

impl Question {
    /// Puts what the policy daemon asks into words.
    pub fn new(ask: &Ask, services: &Services) -> Self {
        let source = shown(ask.source.as_str(), text::OTHER);
        let told = services.describe(&ask.service);
        let argument = ask.argument.strip_prefix('+').unwrap_or(&ask.argument);
        let mut targets: Vec<_> = ask.targets.iter().collect();
        targets.sort_by_key(|choice| (choice.is_disposable(), *choice));
        targets.dedup();
        let mut lasting = ask.lasting.clone();
        lasting.push(Lasting::Once);
        lasting.sort();
        lasting.dedup();
        Self {
            label: label(&ask.labels, ask.source.as_str()),
            sentence: format!("{source} wants to {}", told.does),
            means: told.means,
            service: shown(&ask.service, text::SERVICE),
            argument: (!argument.is_empty())
                .then(|| (told.argument, shown(argument, text::ARGUMENT))),
            requested: requested(ask),
            targets: targets
                .into_iter()
                .map(|choice| Target::new(choice, &ask.labels))
                .collect(),
            default_target: ask.default_target.clone(),
            lasting,
            rule: ask.rule.as_ref().map(|rule| shown(rule, text::OTHER)),
            source,
        }
    }

    /// Words for how long an answer counts.
    pub fn lasting_words(&self, lasting: Lasting) -> String {
        match lasting {
            Lasting::Once => "This once".to_owned(),
            Lasting::TenMinutes => "For 10 minutes".to_owned(),
            Lasting::WhileRunning => format!("Until {} stops", self.source),
        }
    }
}

fn requested(ask: &Ask) -> Option<String> {
    match ask.requested_target.as_deref()? {
        "" | "@default" => None,
        "@dispvm" => Some("a new disposable".to_owned()),
        other => Some(shown(other, text::OTHER)),
    }
}

fn label(labels: &BTreeMap<String, String>, key: &str) -> Option<Label> {
    labels.get(key)?.parse().ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A question of `work` with five targets.
    pub(crate) fn ask() -> Ask {
        let labels = [
            ("work", "blue"),
            ("personal", "green"),
            ("vault", "black"),
            ("untrusted", "red"),
            ("dom0", "black"),
            ("@dispvm:base", "red"),
        ];
        let targets = ["vault", "@dispvm:base", "untrusted", "dom0", "personal"];
        let text = |(a, b): (&str, &str)| (a.to_owned(), b.to_owned());
        Ask {
            source: "work".parse().unwrap(),
            service: "qubes.Filecopy".to_owned(),
            argument: "+".to_owned(),
            targets: targets.map(|target| target.parse().unwrap()).to_vec(),
            default_target: Some("personal".parse().unwrap()),
            icons: BTreeMap::new(),
            labels: labels.map(text).into(),
            requested_target: Some("@default".to_owned()),
            rule: Some("30-user.policy:3".to_owned()),
            lasting: Lasting::ALL.to_vec(),
        }
    }

    #[test]
    fn a_question_in_words() {
        insta::assert_debug_snapshot!(Question::new(&ask(), &Services::shipped()));
    }

    #[test]
    fn what_a_guest_chose_is_shown_escaped_and_short() {
        let mut ask = ask();
        ask.service = "<b>\u{202e}evil</b>\n".to_owned();
        ask.argument = format!("+<span size='1'>\u{7}{}", "a".repeat(65_000));
        ask.requested_target = Some("@dispvm".to_owned());
        ask.labels.insert("work".to_owned(), "pink\"; }".to_owned());
        ask.rule = None;
        let question = Question::new(&ask, &Services::shipped());
        insta::assert_debug_snapshot!((
            question.label,
            question.sentence,
            question.service,
            question.argument,
            question.requested
        ));
    }

    #[test]
    fn targets_are_found_by_name_kind_and_label() {
        let question = Question::new(&ask(), &Services::shipped());
        let found = |search: &str| -> Vec<String> {
            let targets = question.targets.iter();
            let found = targets.filter(|target| target.matches(search));
            found.map(|target| target.choice.to_string()).collect()
        };
        assert_eq!(found("").len(), 5);
        assert_eq!(found(" PERS "), ["personal"]);
        assert_eq!(found("disp"), ["@dispvm:base"]);
        assert_eq!(found("red trust"), ["untrusted"]);
        assert_eq!(found("nothing"), [""; 0]);
    }
}
