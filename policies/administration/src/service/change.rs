// SPDX-License-Identifier: GPL-3.0-or-later
//! A domain's change of what is live.

use std::fmt::Display;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime};

use bulkhead_policy::{Diagnostic, Policy, Rejected, Severity, SourceMap, System};
use bulkhead_types::Layout;
use policy_generations::{About, Keys, Store, StoreError, live_files, sha256_hex};
use policy_ledger::rfc3339;

use super::refusal::Refusal;
use super::request::{File, Token};
use crate::activate::{NotActivated, activate};
use crate::domains::domains;
use crate::keeping::prune;
use crate::set::Set;
use crate::write::{alone_in, replace_file};

/// How often a change is tried that others get in the way of, and how long to wait in between.
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(20);
/// So many errors of a policy are told.
const TOLD_MAX: usize = 10;

/// The policy of this machine.
pub(super) struct Machine {
    layout: Layout,
    store: Store,
    keys: PathBuf,
    working: PathBuf,
    old: PathBuf,
}

/// The token that names a content.
pub(super) fn named_by(content: &[u8]) -> String {
    format!("sha256:{}", sha256_hex(content))
}

fn internal(error: &dyn std::error::Error) -> Refusal {
    let cause = error.source().map(|cause| format!(": {cause}"));
    Refusal::Internal(format!("{error}{}", cause.unwrap_or_default()))
}

/// What a service makes of a file.
pub(super) struct Edit<'a> {
    /// The service, for whoever reads the log.
    pub service: &'a str,
    /// The content to be, of what is live and what the file is now; `None` for no such file.
    pub make: &'a Make<'a>,
}

/// Makes the content of a file, or says why not.
type Make<'a> = dyn Fn(&Set, Option<&[u8]>) -> Result<Option<Vec<u8>>, Refusal> + 'a;

/// Why one try came to nothing.
enum Stop {
    Refused(Refusal),
    /// Another change came first; what it made has to be looked at.
    Overtaken,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<NotActivated> for Stop {
    fn from(error: NotActivated) -> Self {
        let error = match error {
            NotActivated::Store(error) => error,
            NotActivated::Another | NotActivated::Outside(_) => {
                return Self::Refused(internal(&error));
            }
        };
        match &error {
            StoreError::Busy | StoreError::Overtaken => Self::Overtaken,
            StoreError::Unsigned(unsigned) => {
                let files = unsigned.0.join(", ");
                Self::Refused(Refusal::Other(format!(
                    "owners sign for the policy here, and none has signed for {files}"
                )))
            }
            _ => Self::Refused(internal(&error)),
        }
    }
}

impl Machine {
    pub fn new(layout: &Layout) -> Self {
        let [_, working] = layout.policy_dirs();
        Self {
            layout: layout.clone(),
            store: Store::at(layout.policy_generations()),
            keys: layout.policy_keys(),
            working,
            old: layout.old_policy_dir(),
        }
    }

    fn owners(&self) -> Result<Keys, Refusal> {
        Keys::read(&self.keys).map_err(|error| internal(&error))
    }

    fn working(&self) -> Result<Set, Refusal> {
        Set::read(&self.working, Some(&self.old)).map_err(|error| internal(&error))
    }

    /// The files that decide: those of the live generation, or, without one, the working copy.
    pub fn live(&self) -> Result<Set, Refusal> {
        let live = live_files(&self.store, &self.owners()?).map_err(|error| internal(&error))?;
        match live {
            Some(live) => Ok(Set::new(&self.working, Some(&self.old), live.files)),
            None => self.working(),
        }
    }

    /// Gives a file another content, or removes it, and makes that live.
    pub fn change(&self, caller: &str, file: &File, edit: &Edit<'_>) -> Result<(), Refusal> {
        for _ in 0..TRIES {
            match self.try_change(caller, file, edit) {
                Ok(()) => return Ok(()),
                Err(Stop::Refused(refusal)) => return Err(refusal),
                Err(Stop::Overtaken) => thread::sleep(PAUSE),
            }
        }
        Err(Refusal::Other("others keep changing the policy".to_owned()))
    }

    fn try_change(&self, caller: &str, file: &File, edit: &Edit<'_>) -> Result<(), Stop> {
        let path = file.path();
        let _alone = alone_in(&self.working).map_err(|error| internal(&error))?;
        let mut next = self.store.next().map_err(|error| internal(&error))?;
        let live = self.live()?;
        let before = live.files().get(&path).map(Vec::as_slice);
        let content = (edit.make)(&live, before)?;
        let content = content.as_deref();
        if before == content {
            return match content {
                Some(_) => Ok(()),
                None => Err(Refusal::FileNotFound(file.clone()).into()),
            };
        }
        let place = self.working.join(&path);
        if fs::symlink_metadata(&place).is_ok_and(|m| m.is_symlink()) {
            return Err(Refusal::InvalidFilePath(file.clone()).into());
        }
        // The next `apply` would take back what is changed here without a word.
        if self.working()?.files().get(&path).map(Vec::as_slice) != before {
            let message = format!("`{file}` has a change in dom0 that was not applied");
            return Err(Refusal::Other(message).into());
        }
        let changed = live.with(&path, content);
        check(&changed, &path, content.is_none(), &self.layout)?;
        let service = edit.service;
        let about = |message: String| About {
            author: caller.to_owned(),
            time: rfc3339(SystemTime::now()),
            message,
        };
        let owners = self.owners()?;
        if next.1.is_none() {
            // So that there is something to go back to.
            let about = about(format!("as it was before {service} of {file}"));
            let first = activate(&self.store, &owners, &next, &live, about, &[], false)?;
            next = (first.number + 1, Some(first.sha256));
        }
        let about = || about(format!("{service} of {file}"));
        activate(&self.store, &owners, &next, &changed, about(), &[], true)?;
        self.write(&path, content)?;
        let activated = activate(&self.store, &owners, &next, &changed, about(), &[], false);
        if activated.is_err() {
            self.write(&path, before)?;
        }
        activated?;
        if let Err(error) = prune(&self.layout, &self.store, SystemTime::now()) {
            // For dom0's log; the change stands.
            eprintln!("policy service: old generations are not pruned: {error}");
        }
        Ok(())
    }

    /// Keeps the working copy like what is live.
    fn write(&self, path: &str, content: Option<&[u8]>) -> Result<(), Refusal> {
        let place = self.working.join(path);
        let written = match content {
            Some(content) => replace_file(&place, content),
            None => fs::remove_file(&place),
        };
        written.map_err(|error| internal(&error))
    }
}

/// Holds a file against what the caller thinks it is.
pub(super) fn expect(file: &File, token: &Token, before: Option<&[u8]>) -> Result<(), Refusal> {
    let told = |what| Refusal::Token(what, file.clone());
    match (token, before) {
        (Token::Any, _) | (Token::New, None) => Ok(()),
        (Token::New, Some(_)) => Err(told("File exists but token is 'new'")),
        (Token::Sha256(_), None) => Err(told("File doesn't exist, but token isn't 'new'")),
        (Token::Sha256(digest), Some(content)) => match sha256_hex(content) == *digest {
            true => Ok(()),
            false => Err(told("Token mismatch")),
        },
    }
}

/// Whether a changed set may go live. Of other files than the caller's no text is told.
fn check(changed: &Set, path: &str, removed: bool, layout: &Layout) -> Result<Policy, Refusal> {
    let policy = changed
        .policy()
        .map_err(|rejected| Refusal::Syntax(told(changed, path, removed, &rejected)))?;
    let places = |d: &Diagnostic, sources: &SourceMap| {
        let at = d.span.map(|span| sources.location(span));
        at.map_or_else(String::new, |at| short(changed, &at.file, at.line))
    };
    let (around, why) = match domains(layout) {
        Ok(around) => (around, String::new()),
        // Only files that declare their domains can be met.
        Err(why) => (
            System::default(),
            format!(" (without the domains there are: {why})"),
        ),
    };
    let unmet = changed.unmet(&policy, &around);
    let places: Vec<_> = unmet
        .iter()
        .flat_map(|unmet| unmet.failures.iter().map(|d| places(d, &unmet.sources)))
        .take(TOLD_MAX)
        .collect();
    match places.is_empty() {
        true => Ok(policy),
        false => Err(Refusal::Other(format!(
            "expectations are not met: {}{why}",
            places.join(", ")
        ))),
    }
}

fn short(set: &Set, name: &str, line: impl Display) -> String {
    let base = format!("{}/", set.base().display());
    format!("{}:{line}", name.strip_prefix(&base).unwrap_or("elsewhere"))
}

fn told(changed: &Set, path: &str, removed: bool, rejected: &Rejected) -> String {
    let errors = rejected.diagnostics.iter();
    let errors = errors.filter(|d| d.severity == Severity::Error);
    let told = errors.map(|d| {
        let at = d.span.map(|span| rejected.sources.location(span));
        let Some(at) = at else {
            let base = format!("{}/", changed.base().display());
            return d.message.replace(&base, "");
        };
        match changed.inside(&at.file) == Some(path) {
            true => {
                let place = short(changed, &at.file, format!("{}:{}", at.line, at.column));
                format!("{place}: {}{}", kind(d), d.message)
            }
            false => {
                let place = short(changed, &at.file, at.line);
                match removed && d.code == Some("no-file") {
                    true => format!("{place}: including a file that will be removed"),
                    false => format!("{place}: no longer makes sense"),
                }
            }
        }
    });
    told.take(TOLD_MAX).collect::<Vec<_>>().join("; ")
}

/// The kind of an error, as clients of Qubes know it.
fn kind(diagnostic: &Diagnostic) -> &'static str {
    match diagnostic.code {
        Some("fields") => "wrong number of fields: ",
        Some("characters") => "contains invalid characters: ",
        Some("parameters") => "invalid number of params: ",
        Some("no-file") => "not a file: ",
        _ => "",
    }
}
