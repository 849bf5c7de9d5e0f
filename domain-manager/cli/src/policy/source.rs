// SPDX-License-Identifier: GPL-3.0-or-later
//! Which policy and which domains are meant: the system's own, or what the options name.

use std::path::{Path, PathBuf};

use bulkhead_policy::{FileKind, Policy, Rejected, System};
use bulkhead_types::DomainName;
use policy_analysis::Networks;
use policyd::{Directory, load_files, load_policy, load_policy_beside, render};

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

/// Reads the policy, or says all that is wrong with it.
pub fn read(client: &Client, from: &PolicyFrom) -> Result<Policy, Box<Rejected>> {
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

/// The system's own policy.
pub fn own(client: &Client, old: Option<&Path>) -> Result<Policy, Failure> {
    let own = load(&Directory::of(client.layout()), old);
    own.map_err(|rejected| invalid(&rejected))
}

/// The policy that a word names: a file alone, or directories with colons between them.
pub fn named(name: &str, old: Option<&Path>) -> Result<Policy, Failure> {
    let path = Path::new(name);
    let read = match path.is_file() {
        true => alone(&[path.to_owned()], old),
        false => {
            let directories: Vec<_> = name.split(':').map(Directory::required).collect();
            load(&directories, old)
        }
    };
    read.map_err(|rejected| invalid(&rejected))
}

/// Files that make up a policy by themselves, in the order of their names.
pub fn alone(files: &[PathBuf], old: Option<&Path>) -> Result<Policy, Box<Rejected>> {
    load_files(files, old).map_err(Box::new)
}

/// The policy files in directories.
pub fn policy_files(directories: &[Directory]) -> Result<Vec<PathBuf>, Failure> {
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
        let of_policy =
            |name: &std::ffi::OsStr| FileKind::of(&name.to_string_lossy()) == FileKind::Policy;
        let entries = entries.flatten().filter(|e| of_policy(&e.file_name()));
        files.extend(entries.map(|entry| entry.path()));
    }
    files.sort();
    Ok(files)
}

/// What a person is told of a policy that is none.
pub fn invalid(rejected: &Rejected) -> Failure {
    let shown = render(&rejected.diagnostics, &rejected.sources, false);
    let errors = errors(rejected);
    Failure::new(format!(
        "the policy has {errors} and cannot go live\n\n{shown}\n"
    ))
    .hint("the last good policy stays live; without one, every call is refused")
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
