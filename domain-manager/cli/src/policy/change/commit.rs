// SPDX-License-Identifier: GPL-3.0-or-later
//! From a changed set to files on the disk, and on to the live policy.

use std::collections::HashSet;

use bulkhead_policy::{Diagnostic, Policy, Span};
use policy_administration::{Set, alone_in, replace_file};
use policy_analysis::{Difference, lint};
use policy_generations::Store;
use policyd::{load_live, render};

use super::Changing;
use crate::client::Client;
use crate::failure::Failure;
use crate::list::print;
use crate::policy::generation::{self, activation};
use crate::policy::{diff, source};

/// A change of one file.
pub struct Change<'a> {
    pub before: &'a Set,
    pub path: &'a str,
    pub text: &'a str,
}

/// A change that may go live.
pub struct Checked<'a> {
    change: Change<'a>,
    pub after: Set,
    pub policy: Policy,
}

impl<'a> Change<'a> {
    /// Holds the whole set with the change against the language and its own expectations.
    pub fn check(self, client: &Client) -> Result<Checked<'a>, Failure> {
        let after = self.before.with(self.path, Some(self.text.as_bytes()));
        let policy = activation::checked(client, &after)?;
        Ok(Checked {
            change: self,
            after,
            policy,
        })
    }
}

impl Checked<'_> {
    /// Shows what the change changes, writes it, and makes it live if that is asked for.
    pub fn commit(&self, client: &Client, changing: &Changing) -> Result<u8, Failure> {
        let Change { before, path, text } = &self.change;
        let live = changing
            .message
            .is_some()
            .then(|| load_live(client.layout()));
        let old = match live {
            Some(live) => live.map(|live| live.policy),
            None => before.policy(),
        };
        print(&self.shown(client, changing, old.as_ref().ok())?)?;
        if changing.dry_run {
            print("Nothing was written.\n")?;
            return Ok(0);
        }
        let file = before.base().join(path);
        let _alone = alone_in(before.base()).map_err(|error| {
            Failure::new(format!("cannot lock {}", before.base().display())).because(&error)
        })?;
        let next = activation::next(client)?;
        self.is_as_before()?;
        let write = |text: &[u8]| {
            replace_file(&file, text).map_err(|error| {
                Failure::new(format!("cannot write {}", file.display())).because(&error)
            })
        };
        if let Some(message) = &changing.message {
            let activate = |only_try| {
                let (after, keys) = (&self.after, &changing.keys);
                activation::activate(client, after, &next, message, keys, only_try)
            };
            // Whatever keeps it from going live is found before anything is written.
            activate(true)?;
            write(text.as_bytes())?;
            let live = activate(false);
            if live.is_err() {
                // A file that says what is not live would be made live with the next change.
                match before.files().get(*path) {
                    Some(text) => write(text)?,
                    None => drop(std::fs::remove_file(&file)),
                }
            }
            print(&activation::told(&live?, &self.policy))?;
            return Ok(0);
        }
        write(text.as_bytes())?;
        let file = file.display();
        let other = changing.directory.is_some();
        if other {
            print(&format!("Written: {file}.\n"))?;
        } else if generation::in_use(client)? {
            print(&format!(
                "Written: {file}. `bulkhead policy apply -m WHY` makes it live.\n"
            ))?;
        } else {
            generation::read_again(client);
            print(&format!("Written: {file}. It is live.\n"))?;
        }
        Ok(0)
    }

    /// Whether all files are still those that the change was checked with.
    fn is_as_before(&self) -> Result<(), Failure> {
        let Change { before, path, .. } = &self.change;
        let changed = generation::changed(before.files(), before.base());
        if changed.is_empty() {
            return Ok(());
        }
        let place = |path: &String| before.base().join(path).display().to_string();
        let places: Vec<_> = changed.iter().map(place).collect();
        let (places, hint) = match changed.iter().any(|other| other == path) {
            true => (places.join(", "), "look at it and change it again"),
            false => (
                places.join(", "),
                "nothing was written; the same change again is held against what is there now",
            ),
        };
        let verb = if changed.len() == 1 { "was" } else { "were" };
        Err(Failure::new(format!("{places} {verb} changed meanwhile")).hint(hint))
    }

    /// What is new about the changed policy, in decisions and warnings.
    fn shown(
        &self,
        client: &Client,
        changing: &Changing,
        old: Option<&Policy>,
    ) -> Result<String, Failure> {
        let system = source::system_and_networks(client, &changing.system);
        let system = match (system, &changing.system.system) {
            (Err(failure), Some(_)) => return Err(failure),
            (system, _) => system.ok(),
        };
        let known = system.as_ref().map(|(system, _)| system);
        let warnings = |policy: &Policy| {
            let mut warnings = policy.warnings().to_vec();
            warnings.extend(lint(policy, known, None));
            warnings
        };
        // What is told of one word of a line is told of its rule.
        let said = |policy: &Policy, warning: &Diagnostic| {
            let line = warning.span.map(|span| line_of(policy, span));
            (warning.message.clone(), line)
        };
        let before: HashSet<_> = old.map_or_else(HashSet::new, |old| {
            warnings(old).iter().map(|w| said(old, w)).collect()
        });
        let mut new = warnings(&self.policy);
        new.retain(|warning| !before.contains(&said(&self.policy, warning)));
        let mut shown = render(&new, self.policy.sources(), false);
        if !shown.is_empty() {
            shown.push_str("\n\n");
        }
        match (old, known) {
            (Some(old), Some(system)) => {
                let difference = Difference::between(old, &self.policy, system);
                shown.push_str(&diff::told(&difference, old, &self.policy));
            }
            (None, _) => shown.push_str("Before, the policy had errors.\n"),
            (_, None) => shown.push_str(
                "Which decisions change is not known: the domain manager does not answer, and \
                 no `--system FILE` is named.\n",
            ),
        }
        if changing.message.is_some() {
            shown.push_str(&self.others(client));
        }
        Ok(shown)
    }

    /// Names the files that go live with the change because they were changed before.
    fn others(&self, client: &Client) -> String {
        let store = Store::at(client.layout().policy_generations());
        let Ok(Some(live)) = store.live() else {
            return String::new();
        };
        let mut others = generation::changed(self.after.files(), &store.files_of(live));
        others.retain(|other| other != self.change.path);
        match others.is_empty() {
            true => String::new(),
            false => format!("Other changes go live with it: {}.\n", others.join(", ")),
        }
    }
}

/// The line that a span begins in.
fn line_of(policy: &Policy, span: Span) -> String {
    let sources = policy.sources();
    let line = sources.location(span).line.saturating_sub(1);
    let mut lines = sources.file(span.file).text.lines();
    lines.nth(line as usize).unwrap_or_default().to_owned()
}
