// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy quota`: how often domains may call.

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use policyd::control::{Answer, Request};
use policyd::{Quota as Limit, QuotaFile};

use super::control;
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json, without_margins};

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
minute with 30 at once after a rest; and 1024 other calls under way. Calls of dom0 are not counted.";

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
        Some(QuotaCommand::Set(set)) => change(client, &set.about, Some(set)),
        Some(QuotaCommand::Remove(about)) => change(client, about, None),
    }
}

fn show(client: &Client, json: bool) -> Result<u8, Failure> {
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

fn change(client: &Client, about: &About, set: Option<&Set>) -> Result<u8, Failure> {
    let path = QuotaFile::path(client.layout());
    let file = QuotaFile::load(&path);
    let mut file =
        file.map_err(|error| Failure::new("the quotas there are cannot be read").because(&error))?;
    let quota = Limit {
        source: about.source.clone(),
        service: about.service.clone(),
        disposables: about.disposables,
        per_minute: set.and_then(|set| set.per_minute),
        burst: set.and_then(|set| set.burst),
        at_once: set.and_then(|set| set.at_once),
    };
    let place = file
        .quotas
        .iter()
        .position(|there| there.name() == quota.name());
    match (set, place) {
        (Some(_), _) if quota.problem().is_some() => {
            let problem = quota.problem().unwrap_or_default();
            return Err(Failure::new(problem).usage());
        }
        (Some(_), Some(place)) => file.quotas[place] = quota,
        (Some(_), None) => file.quotas.push(quota),
        (None, Some(place)) => drop(file.quotas.remove(place)),
        (None, None) => {
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
    match control::ask(client, &Request::Reload) {
        Ok(_) => print("The quota holds from now on.\n")?,
        Err(_) => print("The quota holds as soon as the policy daemon runs.\n")?,
    }
    Ok(0)
}

fn listing() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}
