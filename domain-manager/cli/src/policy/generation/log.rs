// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy log`.

use bulkhead_types::escaped;
use clap::Args;
use policy_generations::{Generation, Keys};
use serde::Serialize;

use super::{failed, owners, store, without_generation};
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};
use crate::policy::arguments::Format;

#[derive(Debug, Args)]
pub struct Log {
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

#[derive(Serialize)]
struct Entry {
    number: u64,
    live: bool,
    time: String,
    author: String,
    message: String,
    sha256: String,
    /// The configured keys that signed it.
    signed_by: Vec<String>,
    files: usize,
    /// When its files went, where they are no longer kept.
    pruned: Option<String>,
}

pub fn log(client: &Client, asked: &Log, json: bool) -> Result<u8, Failure> {
    let (store, keys) = (store(client), owners(client)?);
    let live = store.live().map_err(|error| failed(&error))?;
    let mut entries = Vec::new();
    for number in store
        .numbers()
        .map_err(|error| failed(&error))?
        .into_iter()
        .rev()
    {
        let generation = store.read(number).map_err(|error| failed(&error))?;
        let pruned = store.pruned(number).map(|pruned| pruned.time);
        entries.push(entry(&generation, live == Some(number), &keys, pruned));
    }
    if json || asked.format == Format::Json {
        print_json(&entries)?;
    } else if entries.is_empty() {
        print(without_generation(&keys))?;
    } else {
        print(&entries.iter().map(listed).collect::<String>())?;
    }
    Ok(0)
}

fn entry(generation: &Generation, live: bool, keys: &Keys, pruned: Option<String>) -> Entry {
    let manifest = &generation.manifest;
    let signers = keys.signers(&manifest.to_bytes(), &generation.signatures);
    Entry {
        number: manifest.number,
        live,
        time: manifest.about.time.clone(),
        author: manifest.about.author.clone(),
        message: manifest.about.message.clone(),
        sha256: generation.sha256.clone(),
        signed_by: signers.into_iter().map(|key| key.name.clone()).collect(),
        files: manifest.files.len(),
        pruned,
    }
}

fn listed(entry: &Entry) -> String {
    let live = if entry.live { "  live" } else { "" };
    let signed = match entry.signed_by.is_empty() {
        true => String::new(),
        false => format!("  signed by {}", entry.signed_by.join(", ")),
    };
    let pruned = match &entry.pruned {
        Some(time) => format!("  pruned {time}"),
        None => String::new(),
    };
    let Entry {
        number,
        time,
        author,
        message,
        sha256,
        ..
    } = entry;
    let message = escaped(message);
    format!("{number}{live}  {time}  {author}{signed}{pruned}\n  {message}\n  {sha256}\n")
}
