// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy apply`.

use std::path::PathBuf;

use clap::Args;
use policy_administration::{self as administration, NotActivated, Set};
use policy_analysis::Difference;
use policy_generations::{Manifest, StoreError};
use policyd::load_live;

use super::activation::{about, activate, around, checked, next, outside, prune, told};
use super::{as_json, failed, owners, read_again, store};
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};
use crate::policy::{diff, signing};

#[derive(Debug, Args)]
#[command(after_long_help = APPLY_HELP)]
pub struct Apply {
    /// A policy directory instead of the system's working copy
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Why, for the log
    #[arg(long, short, default_value = "", required_unless_present = "proposal")]
    message: String,
    /// A private key to sign with; several for several owners
    #[arg(long = "sign", value_name = "KEY")]
    keys: Vec<PathBuf>,
    /// Write down what would go live, for owners to sign elsewhere, and stop
    #[arg(long, value_name = "FILE", conflicts_with_all = ["keys", "dry_run"])]
    propose: Option<PathBuf>,
    /// Make live what was proposed, with the signatures in FILE.sig
    #[arg(long, value_name = "FILE", conflicts_with_all = ["message", "keys", "propose"])]
    proposal: Option<PathBuf>,
    /// Do all but make it live, and say which decisions would change
    #[arg(long)]
    dry_run: bool,
}

const APPLY_HELP: &str = "\
The policy has to be without errors, and every expectation in its `*.test` files has to be met. Once a
generation was applied, changes in the policy directory change nothing until they are applied.

Where /etc/bulkhead/policy-keys holds public keys (NAME.pub), each file has to be signed for by a key
that owns it, now or in an earlier generation that holds it unchanged; and nothing else is live. The first
line of NAME.pub is what `new-key` printed; each further line names files that the key owns, such as
`30-user.policy` or `include/*`. Without such lines it owns all.

Old generations lose their files and stay in the log. The live one and the one before it keep theirs, and
so do the newest 50 and all of the last 90 days: `keep` and `days` in the section `[generations]` of
/etc/bulkhead/policyd.toml set others, and `keep = 0` keeps all.

In JSON, the answer holds generation, sha256, and live: whether it is, or would be.";

pub fn apply(client: &Client, asked: &Apply, json: bool) -> Result<u8, Failure> {
    if asked.proposal.is_none() && asked.message.trim().is_empty() {
        return Err(Failure::new("the log needs a reason")
            .hint("say why: `-m WHY`")
            .usage());
    }
    let [_, own] = client.layout().policy_dirs();
    let directory = asked.directory.as_deref().unwrap_or(&own);
    let old = client.layout().old_policy_dir();
    let next = next(client)?;
    let set = Set::read(directory, Some(&old)).map_err(|error| failed(&error))?;
    let policy = checked(client, &set)?;
    if let Some(file) = &asked.propose {
        // Nobody should have to sign first to hear of it.
        if let Some(place) = set.brings_in_older_files()
            && !owners(client)?.is_empty()
        {
            return Err(outside(&NotActivated::Outside(place)));
        }
        let (number, parent) = next;
        let proposal = Manifest::new(number, about(&asked.message), parent, set.files());
        return signing::propose(&proposal, file);
    }
    let live = match &asked.proposal {
        None => activate(
            client,
            &set,
            &next,
            &asked.message,
            &asked.keys,
            asked.dry_run,
        )?,
        Some(file) => {
            let (proposal, signatures) = signing::signed_proposal(file)?;
            let (store, owners) = (store(client), owners(client)?);
            let live = administration::activate_proposal(
                &store,
                &owners,
                &proposal,
                &set,
                &signatures,
                asked.dry_run,
            );
            let live = live.map_err(|error| match &error {
                NotActivated::Outside(_) => outside(&error),
                NotActivated::Store(StoreError::Unsigned(_)) => failed(&error).hint(format!(
                    "their owners sign it: `bulkhead policy sign {} --key KEY`",
                    file.display()
                )),
                _ => failed(&error).hint("`bulkhead policy apply --propose FILE` begins anew"),
            })?;
            if !asked.dry_run {
                read_again(client);
                prune(client, &store);
            }
            live
        }
    };
    if json {
        print_json(&as_json(live.number, &live.sha256, !asked.dry_run))?;
        return Ok(0);
    }
    if asked.dry_run {
        print(&match (load_live(client.layout()), around(client)) {
            (Ok(before), Some(system)) => {
                let difference = Difference::between(&before.policy, &policy, &system);
                diff::told(&difference, &before.policy, &policy)
            }
            (Err(_), _) => "Before, the policy had errors.\n".to_owned(),
            (_, None) => {
                "Which decisions change is not known: the domain manager does not answer.\n"
                    .to_owned()
            }
        })?;
    }
    print(&match asked.dry_run {
        true => format!("Generation {} would be live.\n", live.number),
        false => told(&live, &policy),
    })?;
    Ok(0)
}
