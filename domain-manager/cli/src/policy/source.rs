// SPDX-License-Identifier: GPL-3.0-or-later
//! Which policy and which domains are meant: the system's own, or what the options name.

use std::path::Path;

use bulkhead_policy::{Policy, Rejected, System};
use policyd::{Directory, load_policy, load_policy_beside, render};

use super::arguments::{PolicyFrom, SystemFrom};
use crate::client::Client;
use crate::failure::Failure;

/// Reads the policy, or says all that is wrong with it.
pub fn read(client: &Client, from: &PolicyFrom) -> Result<Policy, Box<Rejected>> {
    let directories = match from.directories.is_empty() {
        true => Directory::of(client.layout()),
        false => from.directories.iter().map(Directory::required).collect(),
    };
    match &from.old {
        Some(old) => load_policy_beside(&directories, Some(old)),
        None => load_policy(&directories),
    }
    .map_err(Box::new)
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
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(format!("{place} is no system information")).because(&error))
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::new(format!("cannot read {}", path.display())).because(&error))
}
