// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead completion SHELL`, and the question that its scripts ask: what may stand here?
//!
//! The answer comes from the command line's own description, so no verb or option is forgotten;
//! domains, tags, labels, services, policy files, generations and grants are those that there are now. What is not known is left out:
//! completion never complains.

mod terms;

use std::collections::BTreeSet;

use bulkhead_policy::{ServicePattern, System};
use clap::{Arg, Args, Command, CommandFactory as _, ValueEnum, ValueHint};
use policy_generations::{Store, read_files};
use policyd::control::{Answer, Request};
use policyd::load_live;

use crate::arguments::Arguments;
use crate::client::Client;
use crate::failure::Failure;
use crate::list::print;
use crate::policy::live::control;

#[derive(Debug, Args)]
#[command(after_long_help = COMPLETION_HELP)]
pub struct Completion {
    /// The shell
    pub shell: Shell,
}

const COMPLETION_HELP: &str = "\
Where the script belongs:
  bash  /usr/share/bash-completion/completions/bulkhead
  zsh   a directory of $fpath, as _bulkhead
  fish  /usr/share/fish/vendor_completions.d/bulkhead.fish";

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Shell {
    /// Bash
    Bash,
    /// Z shell
    Zsh,
    /// Fish
    Fish,
}

/// The words so far, the last of them unfinished.
#[derive(Debug, Args)]
pub struct Complete {
    #[arg(last = true)]
    words: Vec<String>,
}

/// Prints the script for a shell.
pub fn script(asked: &Completion) -> Result<(), Failure> {
    print(match asked.shell {
        Shell::Bash => include_str!("bulkhead.bash"),
        Shell::Zsh => include_str!("bulkhead.zsh"),
        Shell::Fish => include_str!("bulkhead.fish"),
    })
}

/// Prints what may stand in the place of the last word, a line each.
pub fn complete(client: &Client, asked: &Complete) -> Result<(), Failure> {
    let (current, before) = match asked.words.split_last() {
        Some((current, before)) => (current.as_str(), before),
        None => ("", &[][..]),
    };
    let mut root = Arguments::command();
    root.build();
    let mut found = candidates(&root, before, current, &Known { client, current });
    found.retain(|candidate| candidate.starts_with(current));
    print(
        &found
            .iter()
            .map(|word| format!("{word}\n"))
            .collect::<String>(),
    )
}

/// All that may follow some words.
fn candidates(
    root: &Command,
    before: &[String],
    current: &str,
    known: &Known<'_>,
) -> BTreeSet<String> {
    let mut command = root;
    let mut positionals = 0;
    let mut awaited: Option<&Arg> = None;
    for word in before {
        if awaited.take().is_some() {
            continue;
        }
        if word == "--" {
            return BTreeSet::new();
        }
        if word.starts_with('-') && word.len() > 1 {
            awaited = option(command, word);
        } else if let Some(verb) = command.find_subcommand(word).filter(|_| positionals == 0) {
            command = verb;
        } else {
            positionals += 1;
        }
    }
    if let Some(option) = awaited {
        return known.values(option, 0);
    }
    if current.starts_with('-') {
        let options = command.get_arguments().filter(|arg| !arg.is_hide_set());
        let longs = options.filter_map(|arg| arg.get_long());
        return longs.map(|long| format!("--{long}")).collect();
    }
    let mut found = BTreeSet::new();
    if positionals == 0 {
        let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        found.extend(verbs.map(|verb| verb.get_name().to_owned()));
    }
    let all: Vec<_> = command.get_positionals().collect();
    if let Some(arg) = all.get(positionals).or(all.last()) {
        found.extend(known.values(arg, positionals));
    }
    found
}

/// The option that a word is, when its value is the next word.
fn option<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    let named = |arg: &&Arg| match word.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short().is_some_and(|short| word.ends_with(short)),
    };
    let option = command.get_arguments().find(named)?;
    option.get_action().takes_values().then_some(option)
}

/// What there is on this machine.
struct Known<'c> {
    client: &'c Client,
    current: &'c str,
}

impl Known<'_> {
    /// The values of an argument; `nth` counts the words of a rule.
    fn values(&self, arg: &Arg, nth: usize) -> BTreeSet<String> {
        let possible = arg.get_possible_values();
        if !possible.is_empty() {
            return possible
                .iter()
                .map(|value| value.get_name().to_owned())
                .collect();
        }
        let names = arg.get_value_names().unwrap_or_default();
        match names.first().map(|name| name.as_str()).unwrap_or_default() {
            "DOMAIN" | "NAME" | "TEMPLATE" => self.domains(),
            // Whose calls a quota counts.
            "SOURCE" if arg.get_value_hint() == ValueHint::Other => &self.domains() | &self.tags(),
            "SOURCE" => self.domains(),
            // What can be granted.
            "TARGET" if arg.get_value_hint() == ValueHint::Other => {
                &self.domains() | &words(&["@dispvm", "dom0"])
            }
            "TARGET" | "to" => &self.domains() | &words(&["@default", "@dispvm", "dom0"]),
            "SERVICE" => self.services(),
            "LABEL" => bulkhead_types::Label::ALL
                .iter()
                .map(|l| l.to_string())
                .collect(),
            "RULE" => self.rule(nth),
            // Files of the policy are named by texts; any other file is for the shell to complete.
            "FILE" if arg.get_value_hint() == ValueHint::Unknown => self.policy_files(),
            "TERM" => self.terms(self.current),
            "GRANT" => self.grants(),
            "GENERATION" => self.generations(""),
            "A" | "B" => &self.generations("@") | &words(&["@live"]),
            _ => BTreeSet::new(),
        }
    }

    /// The fields of a rule, in their order.
    fn rule(&self, nth: usize) -> BTreeSet<String> {
        let patterns = words(&["@adminvm", "@anyvm"]);
        match nth {
            0 => self.services(),
            1 => words(&["+"]),
            2 => &(&self.domains() | &self.tags()) | &patterns,
            3 => {
                &(&self.domains() | &self.tags()) | &(&patterns | &words(&["@default", "@dispvm"]))
            }
            4 => words(&["allow", "ask", "deny"]),
            _ => words(&[
                "autostart=no",
                "default_target=",
                "notify=no",
                "target=",
                "user=",
            ]),
        }
    }

    fn system(&self) -> Option<System> {
        let bytes = self.client.system_info().ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn domains(&self) -> BTreeSet<String> {
        let system = self.system().unwrap_or_default();
        let domains = system.domains().iter();
        domains.map(|domain| domain.name.to_string()).collect()
    }

    fn tags(&self) -> BTreeSet<String> {
        let system = self.system().unwrap_or_default();
        let tags = system.domains().iter().flat_map(|domain| &domain.tags);
        tags.map(|tag| format!("@tag:{tag}")).collect()
    }

    /// The files of the working copy, as they are named to be changed.
    fn policy_files(&self) -> BTreeSet<String> {
        let [_, working] = self.client.layout().policy_dirs();
        let files = read_files(&working).unwrap_or_default();
        let paths = files.keys();
        let names = paths.map(|path| match path.strip_suffix(".policy") {
            Some(stem) if !stem.contains('/') => stem.to_owned(),
            _ => path.clone(),
        });
        names.collect()
    }

    /// The numbers of the grants there are.
    fn grants(&self) -> BTreeSet<String> {
        match control::ask(self.client, &Request::Grants) {
            Ok(Answer::Grants(grants)) => grants.iter().map(|grant| grant.id.to_string()).collect(),
            _ => BTreeSet::new(),
        }
    }

    /// The numbers of the generations that can be looked at and gone back to.
    fn generations(&self, before: &str) -> BTreeSet<String> {
        let store = Store::at(self.client.layout().policy_generations());
        let numbers = store.numbers().unwrap_or_default().into_iter();
        let whole = numbers.filter(|number| store.pruned(*number).is_none());
        whole.map(|number| format!("{before}{number}")).collect()
    }

    /// The services that the live policy names.
    fn services(&self) -> BTreeSet<String> {
        let Ok(live) = load_live(self.client.layout()) else {
            return BTreeSet::new();
        };
        let named = live.policy.rules().filter_map(|rule| match &rule.service {
            ServicePattern::Named(name) => Some(name.to_string()),
            ServicePattern::Any => None,
        });
        named.collect()
    }
}

fn words(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
