// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy quota`: how often domains may call.

use std::collections::BTreeSet;

use bulkhead_policy::System;
use clap::{Args, Subcommand, ValueHint};
use comfy_table::{Table, presets};
use policy_administration::alone_in;
use policyd::control::{Answer, Request};
use policyd::{Quota as Limit, QuotaFile, load_live};

use super::control;
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json, without_margins};
use crate::policy::who::{did_you_mean, if_unknown};

/// Without a verb, shows the quotas and what was used of them.
#[derive(Debug, Args)]
#[command(after_long_help = QUOTA_HELP)]
pub struct Quota {
    #[command(subcommand)]
    command: Option<QuotaCommand>,
}

const QUOTA_HELP: &str = "\
Each call that policy allows is counted by the first quota that fits it, for its source alone: what
one domain uses up is missed by no other. A call past a quota is refused with a reason that begins
with `quota:`, and the caller is told that too much is under way (exit code 125, not 126). Quotas
that are set come before the two that always hold: 20 calls to new disposables under way, 60 a
minute with 30 at once after a rest; and 1024 other calls under way. One that is set is put before
those that count all its calls as well. Calls of dom0 are not counted.

With --json, `set` and `remove` answer with what it is about, and `holds`: whether the policy
daemon was told.";

#[derive(Debug, Subcommand)]
enum QuotaCommand {
    /// Show the quotas and what was used of them
    Show,
    /// Set a quota, in the place of one about the same
    Set(Set),
    /// Remove a quota that was set
    Remove(About),
}

#[derive(Debug, Args)]
struct About {
    /// Whose calls: a name, @tag:TAG, @type:CLASS or *
    #[arg(value_hint = ValueHint::Other)]
    source: String,
    /// Calls of what: a service without an argument, or *
    service: String,
    /// Only calls that start a new disposable
    #[arg(long)]
    disposables: bool,
}

#[derive(Debug, Args)]
struct Set {
    #[command(flatten)]
    about: About,
    /// So many calls in a minute, in the long run
    #[arg(long, value_name = "NUMBER")]
    per_minute: Option<u32>,
    /// So many calls at once after a rest; without it, those of a minute
    #[arg(long, value_name = "NUMBER", requires = "per_minute")]
    burst: Option<u32>,
    /// So many calls under way
    #[arg(long, value_name = "NUMBER")]
    at_once: Option<u32>,
}

pub fn quota(client: &Client, asked: &Quota, json: bool) -> Result<u8, Failure> {
    match &asked.command {
        None | Some(QuotaCommand::Show) => show(client, json),
        Some(QuotaCommand::Set(set)) => {
            let quota = wanted(set)?;
            for doubt in doubts(client, &quota) {
                eprintln!("warning: {doubt}");
            }
            change(client, &quota, true, json)
        }
        Some(QuotaCommand::Remove(about)) => change(client, &unlimited(about), false, json),
    }
}

fn show(client: &Client, json: bool) -> Result<u8, Failure> {
    if let Err(error) = QuotaFile::load(&QuotaFile::path(client.layout())) {
        eprintln!("warning: what was set before holds: {error}");
    }
    let answer = control::ask(client, &Request::Quotas)?;
    let Answer::Quotas { quotas, usage } = &answer else {
        return Err(control::senseless());
    };
    if json {
        let Answer::Quotas { .. } = &answer else {
            return Err(control::senseless());
        };
        print_json(&serde_json::json!({ "quotas": quotas, "usage": usage }))?;
        return Ok(0);
    }
    let number = |number: Option<u64>| number.map_or("-".to_owned(), |n| n.to_string());
    let wide = |number: Option<u32>| number.map_or("-".to_owned(), |n| n.to_string());
    let mut table = listing();
    table.set_header([
        "SOURCE",
        "SERVICE",
        "CALLS TO",
        "A MINUTE",
        "BURST",
        "UNDER WAY",
    ]);
    for quota in quotas {
        let to = if quota.disposables {
            "new disposables"
        } else {
            "any target"
        };
        let row = [quota.source.clone(), quota.service.clone(), to.to_owned()];
        let limits = [quota.per_minute, quota.burst, quota.at_once].map(wide);
        table.add_row(row.into_iter().chain(limits));
    }
    let mut text = format!("{}\n", without_margins(&table).trim_end());
    if !usage.is_empty() {
        let mut table = listing();
        table.set_header(["DOMAIN", "QUOTA", "UNDER WAY", "LEFT NOW", "REFUSED"]);
        for used in usage {
            table.add_row([
                used.source.clone(),
                used.quota.clone(),
                used.under_way.to_string(),
                number(used.left),
                used.refused.to_string(),
            ]);
        }
        text.push_str(&format!("\n{}\n", without_margins(&table).trim_end()));
    }
    print(&text)?;
    Ok(0)
}

fn unlimited(about: &About) -> Limit {
    Limit {
        source: about.source.clone(),
        service: about.service.clone(),
        disposables: about.disposables,
        per_minute: None,
        burst: None,
        at_once: None,
    }
}

/// The quota that is to be set, if it is one.
fn wanted(set: &Set) -> Result<Limit, Failure> {
    if set.per_minute.is_none() && set.at_once.is_none() {
        return Err(Failure::new("a quota needs a limit")
            .hint("give --per-minute NUMBER, --at-once NUMBER or both")
            .usage());
    }
    let quota = Limit {
        per_minute: set.per_minute,
        burst: set.burst,
        at_once: set.at_once,
        ..unlimited(&set.about)
    };
    if quota.source == "dom0" {
        return Err(Failure::new("calls of dom0 are not counted").usage());
    }
    match quota.problem() {
        Some(problem) => Err(Failure::new(problem).usage()),
        None => Ok(quota),
    }
}

/// What about a quota may be misspelt. It may also be about what is yet to come.
fn doubts(client: &Client, quota: &Limit) -> Vec<String> {
    let mut doubts = Vec::new();
    let system = client.system_info().ok();
    let system = system.and_then(|bytes| serde_json::from_slice::<System>(&bytes).ok());
    let domains = system.iter().flat_map(|system| system.domains());
    let source = quota.source.as_str();
    let (kind, name, known): (_, _, BTreeSet<&str>) =
        if let Some(tag) = source.strip_prefix("@tag:") {
            let tags = domains.flat_map(|domain| &domain.tags);
            (
                "no domain has the tag",
                tag,
                tags.map(|tag| &**tag).collect(),
            )
        } else if let Some(class) = source.strip_prefix("@type:") {
            let classes = domains.map(|domain| &*domain.class);
            ("no domain is of the class", class, classes.collect())
        } else {
            (
                "there is no domain",
                source,
                domains.map(|domain| domain.name.as_str()).collect(),
            )
        };
    if system.is_some() && name != "*" && !known.contains(name) {
        doubts.push(format!("{kind} `{name}`.{}", did_you_mean(name, known)));
    }
    if quota.service != "*"
        && let Ok(live) = load_live(client.layout())
        && let Some(likely) = if_unknown(&quota.service, &live.policy)
    {
        doubts.push(format!(
            "no rule names the service `{}`.{likely}",
            quota.service
        ));
    }
    doubts
}

fn change(client: &Client, quota: &Limit, set: bool, json: bool) -> Result<u8, Failure> {
    let path = QuotaFile::path(client.layout());
    let configuration = client.layout().configuration();
    let _alone = alone_in(&configuration).map_err(|error| {
        Failure::new(format!("cannot lock {}", configuration.display())).because(&error)
    })?;
    let file = QuotaFile::load(&path);
    let mut file =
        file.map_err(|error| Failure::new("the quotas there are cannot be read").because(&error))?;
    let place = file
        .quotas
        .iter()
        .position(|there| there.name() == quota.name());
    match (set, place) {
        (true, Some(place)) => file.quotas[place] = quota.clone(),
        (true, None) => {
            let first = file
                .quotas
                .iter()
                .position(|other| other.takes_all_of(quota));
            file.quotas
                .insert(first.unwrap_or(file.quotas.len()), quota.clone());
        }
        (false, Some(place)) => drop(file.quotas.remove(place)),
        (false, None) => {
            return Err(
                Failure::new(format!("no quota is set for `{}`", quota.name()))
                    .hint("`bulkhead policy quota` shows them; the last two always hold"),
            );
        }
    }
    let saved = file.save(&path);
    saved.map_err(|error| {
        Failure::new(format!("cannot write {}", path.display())).because(&error)
    })?;
    let holds = control::ask(client, &Request::Reload).is_ok();
    if json {
        let what = if set { "set" } else { "removed" };
        print_json(&serde_json::json!({ what: quota.name(), "holds": holds }))?;
        return Ok(0);
    }
    print(match (set, holds) {
        (true, true) => "The quota holds from now on.\n",
        (true, false) => "The quota holds as soon as the policy daemon runs.\n",
        (false, true) => "The quota holds no more.\n",
        (false, false) => "The quota is removed; the policy daemon does not run.\n",
    })?;
    Ok(0)
}

fn listing() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}
