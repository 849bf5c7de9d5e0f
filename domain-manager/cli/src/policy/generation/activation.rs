// SPDX-License-Identifier: GPL-3.0-or-later
//! Making a set live: its check, its activation, and what is said of either.

use std::path::PathBuf;
use std::time::SystemTime;

use bulkhead_policy::{Policy, System};
use policy_administration::{self as administration, Activated, NotActivated, Set};
use policy_generations::{About, SigningKey, Store, StoreError};
use policy_ledger::rfc3339;
use policyd::render;

use super::{author, failed, owners, read_again, refused, store};
use crate::client::Client;
use crate::failure::Failure;
use crate::policy::source;

/// What is said of a set that brings in what nobody can sign for.
pub(super) fn outside(error: &NotActivated) -> Failure {
    failed(error).hint(
        "delete the line `!compat-4.0` if the older files are not needed; else put them into the \
         policy directory, say as `include/SERVICE`, and in its place write \
         `!include-service SERVICE * include/SERVICE` for each",
    )
}

/// The domains there are, if the domain manager tells.
pub fn around(client: &Client) -> Option<System> {
    serde_json::from_slice(&client.system_info().ok()?).ok()
}

/// The policy that a set amounts to, if it may go live: without an error, and with every
/// expectation met.
pub fn checked(client: &Client, set: &Set) -> Result<Policy, Failure> {
    let policy = set.policy();
    let policy = policy.map_err(|rejected| source::invalid(&rejected))?;
    let around = around(client);
    let hint = match around {
        Some(_) => "what was live still is; change the policy or its tests",
        None => {
            "what was live still is; the domain manager does not tell of domains, so that only tests that \
             declare their own can pass: start it, or change the policy or its tests"
        }
    };
    let unmet = set.unmet(&policy, &around.unwrap_or_default());
    if unmet.is_empty() {
        return Ok(policy);
    }
    let shown = unmet
        .iter()
        .map(|unmet| format!("\n{}\n", render(&unmet.failures, &unmet.sources, false)));
    Err(Failure::new(format!(
        "the policy does not meet its expectations\n{}",
        shown.collect::<String>()
    ))
    .hint(hint))
}

/// What a generation that is made of the files as they are now follows on. Asked before they are
/// read, it keeps a change from overruling another that came in between.
pub fn next(client: &Client) -> Result<(u64, Option<String>), Failure> {
    store(client).next().map_err(|error| failed(&error))
}

/// Makes a checked set live as the `next` generation; `only_try` does all but that.
pub fn activate(
    client: &Client,
    set: &Set,
    next: &(u64, Option<String>),
    message: &str,
    keys: &[PathBuf],
    only_try: bool,
) -> Result<Activated, Failure> {
    let owners = owners(client)?;
    let about = about(message);
    let keys: Result<Vec<_>, _> = keys.iter().map(|path| SigningKey::load(path)).collect();
    let keys = keys.map_err(|error| failed(&error))?;
    let store = store(client);
    let activated = administration::activate(&store, &owners, next, set, about, &keys, only_try);
    let activated = activated.map_err(|error| match &error {
        NotActivated::Store(StoreError::Unsigned(_)) => {
            failed(&error).hint("sign with the keys of their owners: `--sign KEY`")
        }
        NotActivated::Outside(_) => outside(&error),
        NotActivated::Store(StoreError::Overtaken) => failed(&error).hint(
            "`bulkhead policy diff` shows what the working copy changes by now; the same command again \
             goes on from there",
        ),
        NotActivated::Store(error) => refused(error),
        _ => failed(&error),
    })?;
    if !only_try {
        read_again(client);
        prune(client, &store);
    }
    Ok(activated)
}

/// Lets go of the files of old generations; that this fails is no failure of what was asked.
pub(super) fn prune(client: &Client, store: &Store) {
    if let Err(error) = administration::prune(client.layout(), store, SystemTime::now()) {
        eprintln!("warning: old generations keep their files for now: {error}");
    }
}

/// What is said of a generation that went live.
pub fn told(live: &Activated, policy: &Policy) -> String {
    let rules = policy.rules().len();
    let Activated { number, sha256 } = live;
    format!("Generation {number} is live; rules: {rules}, SHA-256: {sha256}.\n")
}

pub(super) fn about(message: &str) -> About {
    About {
        author: author(),
        time: rfc3339(SystemTime::now()),
        message: message.to_owned(),
    }
}
