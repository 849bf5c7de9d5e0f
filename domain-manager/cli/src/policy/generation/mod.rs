// SPDX-License-Identifier: GPL-3.0-or-later
//! Generations of the policy: making one live, and what is told of them.

pub mod activation;
pub mod apply;
pub mod log;
pub mod rollback;
pub mod status;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use policy_generations::{Files, Keys, Store, StoreError, read_files};
use policyd::control::Request;

use super::live::control;
use crate::client::Client;
use crate::failure::Failure;

fn store(client: &Client) -> Store {
    Store::at(client.layout().policy_generations())
}

fn owners(client: &Client) -> Result<Keys, Failure> {
    let keys = Keys::read(&client.layout().policy_keys());
    keys.map_err(|error| Failure::new("the owners' keys cannot be read").because(&error))
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::new("the policy stays as it was").because(error)
}

/// What is said of a store that does not take what was asked for.
fn refused(error: &StoreError) -> Failure {
    match error {
        StoreError::Busy => failed(error).hint("do it again when that is done"),
        _ => failed(error),
    }
}

/// What is live, or would be, as JSON.
fn as_json(generation: u64, sha256: &str, live: bool) -> serde_json::Value {
    serde_json::json!({ "generation": generation, "sha256": sha256, "live": live })
}

/// Has the policy daemon read what is live now, if it runs; it reads it by itself soon.
pub fn read_again(client: &Client) {
    let _ = control::ask(client, &Request::Reload);
}

/// Whether the live policy is a generation, or has to be one.
pub fn in_use(client: &Client) -> Result<bool, Failure> {
    let live = store(client).live().map_err(|error| failed(&error))?;
    Ok(live.is_some() || !owners(client)?.is_empty())
}

/// Who types, behind sudo as well; without a name, by number.
fn author() -> String {
    let names = ["SUDO_USER", "USER", "LOGNAME"].into_iter();
    let mut names = names.filter_map(|name| std::env::var(name).ok());
    names.find(|name| !name.is_empty()).unwrap_or_else(|| {
        let own = std::fs::metadata("/proc/self").map(|process| process.uid());
        match own {
            Ok(0) => "root".to_owned(),
            Ok(uid) => format!("uid {uid}"),
            Err(_) => "unknown".to_owned(),
        }
    })
}

/// What is live while no generation is.
fn without_generation(keys: &Keys) -> &'static str {
    match keys.is_empty() {
        true => "No generation was applied; what lies in the policy directories is live.\n",
        false => {
            "No generation was applied, and nothing else counts where keys are configured: \
             `bulkhead policy apply -m WHY --sign KEY` makes the working copy live.\n"
        }
    }
}

/// The files that differ between a set and one on the disk.
pub fn changed(own: &Files, live: &Path) -> Vec<String> {
    let live = read_files(live).unwrap_or_default();
    let paths: BTreeSet<&String> = own.keys().chain(live.keys()).collect();
    let differs = |path: &&&String| own.get(**path) != live.get(**path);
    paths
        .iter()
        .filter(differs)
        .map(|path| path.to_string())
        .collect()
}
