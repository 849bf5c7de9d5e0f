// SPDX-License-Identifier: GPL-3.0-or-later
//! Which policy and which domains are meant: the system's own, or what the options name.

use std::path::{Path, PathBuf};

use bulkhead_policy::{FileKind, Policy, Rejected, System};
use bulkhead_types::DomainName;
use policy_analysis::Networks;
use policy_generations::Store;
use policyd::{Directory, load_files, load_live, load_policy, load_policy_beside, render};

use super::arguments::{PolicyFrom, SystemFrom};
use crate::client::Client;
use crate::failure::Failure;

/// The policy directories that are meant, highest priority first.
pub fn directories(client: &Client, from: &PolicyFrom) -> Vec<Directory> {
    match from.directories.is_empty() {
        true => Directory::of(client.layout()),
        false => from.directories.iter().map(Directory::required).collect(),
    }
}

/// Reads the policy, or says all that is wrong with it. Without a word on which, it is the one
/// that is live.
pub fn read(client: &Client, from: &PolicyFrom) -> Result<Policy, Box<Rejected>> {
    if from.directories.is_empty() && from.old.is_none() {
        let live = load_live(client.layout()).map_err(Box::new)?;
        return Ok(live.policy);
    }
    load(&directories(client, from), from.old.as_deref())
}

/// As [`read`]; but without a word on which, it is the one that is being worked on.
pub fn working(client: &Client, from: &PolicyFrom) -> Result<Policy, Box<Rejected>> {
    load(&directories(client, from), from.old.as_deref())
}

/// As [`read`], for commands that can do nothing without a policy.
pub fn policy(client: &Client, from: &PolicyFrom) -> Result<Policy, Failure> {
    read(client, from).map_err(|rejected| invalid(&rejected))
}

fn load(directories: &[Directory], old: Option<&Path>) -> Result<Policy, Box<Rejected>> {
    match old {
        Some(old) => load_policy_beside(directories, Some(old)),
        None => load_policy(directories),
    }
    .map_err(Box::new)
}

/// The generation that is live, and where its files lie.
pub fn live_generation(client: &Client) -> Option<(u64, PathBuf)> {
    let store = Store::at(client.layout().policy_generations());
    let number = store.live().ok()??;
    Some((number, store.files_of(number)))
}

/// The system's own policy.
pub fn own(client: &Client, old: Option<&Path>) -> Result<Policy, Failure> {
    let own = load(&Directory::of(client.layout()), old);
    own.map_err(|rejected| invalid(&rejected))
}

/// The policy that a word names: `@NUMBER` for a generation, `@live` for the live one, a file
/// alone, or directories with colons between them.
pub fn named(client: &Client, name: &str, old: Option<&Path>) -> Result<Policy, Failure> {
    let older = client.layout().old_policy_dir();
    let read = match (name.strip_prefix('@'), Path::new(name)) {
        (Some("live"), _) => load_live(client.layout())
            .map(|live| live.policy)
            .map_err(Box::new),
        (Some(number), _) => {
            let number = number.parse().map_err(|_| {
                Failure::new(format!("`{name}` is no generation")).hint("write `@7`, or `@live`")
            })?;
            let store = Store::at(client.layout().policy_generations());
            store.verified(number).map_err(|error| {
                Failure::new(format!("generation {number} cannot be read"))
                    .because(&error)
                    .hint("`bulkhead policy log` lists those there are")
            })?;
            let files = Directory::required(store.files_of(number));
            load(&[files], Some(old.unwrap_or(&older)))
        }
        (None, path) => of_path(name, path, old),
    };
    read.map_err(|rejected| invalid(&rejected))
}

fn of_path(name: &str, path: &Path, old: Option<&Path>) -> Result<Policy, Box<Rejected>> {
    match path.is_file() {
        true => alone(&[path.to_owned()], old),
        false => {
            let directories: Vec<_> = name.split(':').map(Directory::required).collect();
            load(&directories, old)
        }
    }
}

/// Files that make up a policy by themselves, in the order of their names.
pub fn alone(files: &[PathBuf], old: Option<&Path>) -> Result<Policy, Box<Rejected>> {
    load_files(files, old).map_err(Box::new)
}

/// The policy files in directories.
pub fn policy_files(directories: &[Directory]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = files_ending(directories, "policy")?;
    let name = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    files.retain(|path| FileKind::of(&name(path)) == FileKind::Policy);
    Ok(files)
}

/// The files with an ending in policy directories, by name.
pub fn files_ending(directories: &[Directory], ending: &str) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for directory in directories {
        let entries = match std::fs::read_dir(&directory.path) {
            Ok(entries) => entries,
            Err(_) if directory.optional => continue,
            Err(error) => {
                let what = format!("cannot read {}", directory.path.display());
                return Err(Failure::new(what).because(&error));
            }
        };
        let paths = entries.flatten().map(|entry| entry.path());
        files.extend(paths.filter(|path| path.extension().is_some_and(|e| e == ending)));
    }
    files.sort();
    Ok(files)
}

/// What a person is told of a policy that is none.
pub fn invalid(rejected: &Rejected) -> Failure {
    let shown = render(&rejected.diagnostics, &rejected.sources, false);
    // What was not even read is not wrong, and perhaps only misspelt.
    if rejected.diagnostics.iter().all(|d| d.span.is_none()) {
        return Failure::new(format!("the policy cannot be read\n\n{shown}\n"));
    }
    let errors = errors(rejected);
    Failure::new(format!(
        "the policy has {errors} and cannot go live\n\n{shown}\n"
    ))
    .hint("the last good policy stays live; without one, every call is refused")
}

/// What a person is told of a text that is wrong by itself.
pub fn invalid_text(what: &str, rejected: &Rejected) -> Failure {
    let shown = render(&rejected.diagnostics, &rejected.sources, false);
    Failure::new(format!("{what} has {}\n\n{shown}\n", errors(rejected))).usage()
}

/// How many errors there are, in words.
pub fn errors(rejected: &Rejected) -> String {
    match rejected.errors() {
        1 => "an error".to_owned(),
        errors => format!("{errors} errors"),
    }
}

/// The domains that calls are held against.
pub fn system(client: &Client, from: &SystemFrom) -> Result<System, Failure> {
    Ok(system_and_networks(client, from)?.0)
}

/// The domains, and which of them have network as far as the information says.
pub fn system_and_networks(
    client: &Client,
    from: &SystemFrom,
) -> Result<(System, Networks), Failure> {
    let (bytes, place) = match &from.system {
        Some(path) => (bytes_of(path)?, path.display().to_string()),
        None => {
            let bytes = client.system_info();
            let bytes = bytes.map_err(|failure| {
                failure.or("or name a file with the system information: `--system FILE`")
            })?;
            (bytes, "the domain manager's answer".to_owned())
        }
    };
    let bad = |error: &serde_json::Error| {
        Failure::new(format!("{place} is no system information")).because(error)
    };
    let system = serde_json::from_slice(&bytes).map_err(|error| bad(&error))?;
    let document: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| bad(&e))?;
    Ok((system, networks(&document)))
}

/// What `netvm` says of the domains that have that key.
fn networks(document: &serde_json::Value) -> Networks {
    let domains = document
        .get("domains")
        .and_then(|domains| domains.as_object());
    let entries = domains.into_iter().flatten();
    let network = |(name, entry): (&String, &serde_json::Value)| {
        let netvm = entry.get("netvm")?.as_str().unwrap_or_default();
        Some((DomainName::parse(name).ok()?, DomainName::parse(netvm).ok()))
    };
    entries.filter_map(network).collect()
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::new(format!("cannot read {}", path.display())).because(&error))
}
