// SPDX-License-Identifier: GPL-3.0-or-later
//! An outcome in words, for programs and people.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::outcome::{Outcome, Values};
use crate::plane::Plane;

/// What becomes of some calls.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Decided {
    /// `allow`, `ask` or `deny`.
    pub verdict: &'static str,
    /// Where an allowed call goes; `None` where it goes where it was meant to go.
    pub target: Option<String>,
    /// Where a call may go that is asked for. A caller is never offered itself, even if it
    /// stands here for the others.
    #[serde(serialize_with = "as_texts")]
    pub targets: Vec<Arc<str>>,
    /// The one of them that is offered first.
    pub default_target: Option<String>,
    /// Who runs the service, when the rule says so.
    pub user: Option<String>,
    /// Whether a halted target is started.
    pub autostart: Option<bool>,
    /// Whether the user is told.
    pub notify: bool,
}

impl Decided {
    pub(crate) fn new(outcome: Outcome, plane: &Plane<'_>, values: &Values) -> Self {
        let empty = Self {
            verdict: "deny",
            target: None,
            targets: Vec::new(),
            default_target: None,
            user: None,
            autostart: None,
            notify: true,
        };
        let with_terms = |verdict, terms: u32| {
            let terms = values.terms.get(terms);
            Self {
                verdict,
                user: terms.user.as_deref().map(str::to_owned),
                autostart: Some(terms.autostart),
                notify: terms.notify,
                ..empty.clone()
            }
        };
        match outcome {
            Outcome::Deny { notify } => Self { notify, ..empty },
            Outcome::Allow { to, terms } => Self {
                target: to.map(|at| plane.text(at as usize)),
                ..with_terms("allow", terms)
            },
            Outcome::Ask { question, terms } => {
                let question = values.questions.get(question);
                let choices = plane.by_text.iter();
                let choices = choices.filter(|at| question.choices.has(**at));
                Self {
                    targets: choices.map(|at| plane.shared_text(*at)).collect(),
                    default_target: question.default.map(|at| plane.text(at)),
                    ..with_terms("ask", terms)
                }
            }
        }
    }
}

fn as_texts<S: Serializer>(texts: &[Arc<str>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(texts.iter().map(|text| &**text))
}

/// So many names of a list are told to people.
const TOLD_MAX: usize = 6;

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verdict)?;
        if let Some(target) = &self.target {
            write!(f, " → {target}")?;
        }
        if !self.targets.is_empty() {
            write!(f, " {}", listed(&self.targets))?;
        }
        if let Some(default) = &self.default_target {
            write!(f, ", first {default}")?;
        }
        if let Some(user) = &self.user {
            write!(f, ", as {user}")?;
        }
        if self.autostart == Some(false) {
            f.write_str(", starting nothing")?;
        }
        match (self.verdict, self.notify) {
            ("deny", false) => f.write_str(", silently"),
            ("allow" | "ask", true) => f.write_str(", with a notice"),
            _ => Ok(()),
        }
    }
}

/// Names in a sentence; of many the first, and how many more.
pub fn listed<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let mut names = names.into_iter();
    let mut told = String::new();
    for (n, name) in names.by_ref().take(TOLD_MAX).enumerate() {
        told.push_str(if n == 0 { "" } else { ", " });
        told.push_str(name.as_ref());
    }
    match names.count() {
        0 => told,
        more => told + &format!(" and {more} more"),
    }
}
