// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy apply`, `log`, `rollback`, `status` and `new-key`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::SystemTime;

use bulkhead_policy::System;
use policy_generations::{
    About, Files, Generation, Keys, Manifest, SigningKey, Store, live_files, read_files, sha256_hex,
};
use policy_ledger::rfc3339;
use policyd::{Directory, load_policy_beside, render};
use serde::Serialize;

use super::arguments::{Apply, Format, Log, NewKey, Rollback};
use super::{source, test};
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};

fn store(client: &Client) -> Store {
    Store::at(client.layout().policy_generations())
}

fn keys(client: &Client) -> Result<Keys, Failure> {
    let keys = Keys::read(&client.layout().policy_keys());
    keys.map_err(|error| Failure::new("the owners' keys cannot be read").because(&error))
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::new("the policy stays as it was").because(error)
}

pub fn apply(client: &Client, asked: &Apply) -> Result<u8, Failure> {
    let [_, own] = client.layout().policy_dirs();
    let directory = asked.directory.as_deref().unwrap_or(&own);
    let old = client.layout().old_policy_dir();
    let policy = load_policy_beside(&[Directory::required(directory)], Some(&old));
    let policy = policy.map_err(|rejected| source::invalid(&rejected))?;
    let mut failures = String::new();
    for file in source::files_ending(&[Directory::required(directory)], "test")? {
        let (_, failed, sources) = test::run(&file, &policy, &System::default())?;
        if !failed.is_empty() {
            failures.push_str(&format!("\n{}\n", render(&failed, &sources, false)));
        }
    }
    if !failures.is_empty() {
        return Err(Failure::new(format!(
            "the policy does not meet its expectations\n{failures}"
        ))
        .hint("what was live still is; change the policy or its tests"));
    }
    let (store, keys) = (store(client), keys(client)?);
    let files = read_files(directory).map_err(|error| failed(&error))?;
    let (number, parent) = store.next().map_err(|error| failed(&error))?;
    let about = About {
        author: author(),
        time: rfc3339(SystemTime::now()),
        message: asked.message.clone(),
    };
    let manifest = Manifest::new(number, about, parent, &files);
    let bytes = manifest.to_bytes();
    let mut signatures = Vec::new();
    for path in &asked.keys {
        signatures.push(
            SigningKey::load(path)
                .map_err(|error| failed(&error))?
                .sign(&bytes),
        );
    }
    let unsigned = |error: &dyn std::error::Error| {
        failed(error).hint("sign with the keys of their owners: `--sign KEY`")
    };
    let signed = store.signed(&keys, &manifest, &signatures);
    signed.map_err(|error| unsigned(&error))?;
    if asked.dry_run {
        print(&format!("Generation {number} would be live.\n"))?;
        return Ok(0);
    }
    let applied = store.apply(&keys, &manifest, &files, &signatures);
    applied.map_err(|error| failed(&error))?;
    let (rules, sha256) = (policy.rules().len(), sha256_hex(&bytes));
    print(&format!(
        "Generation {number} is live; rules: {rules}, SHA-256: {sha256}.\n"
    ))?;
    Ok(0)
}

/// Who types, behind sudo as well.
fn author() -> String {
    let names = ["SUDO_USER", "USER", "LOGNAME"];
    let name = names.into_iter().find_map(|name| std::env::var(name).ok());
    name.filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
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
}

pub fn log(client: &Client, asked: &Log, json: bool) -> Result<u8, Failure> {
    let (store, keys) = (store(client), keys(client)?);
    let live = store.live().map_err(|error| failed(&error))?;
    let mut entries = Vec::new();
    for number in store
        .numbers()
        .map_err(|error| failed(&error))?
        .into_iter()
        .rev()
    {
        let generation = store.read(number).map_err(|error| failed(&error))?;
        entries.push(entry(&generation, live == Some(number), &keys));
    }
    if json || asked.format == Format::Json {
        print_json(&entries)?;
    } else if entries.is_empty() {
        print("No generation was applied; what lies in the policy directories is live.\n")?;
    } else {
        print(&entries.iter().map(told).collect::<String>())?;
    }
    Ok(0)
}

fn entry(generation: &Generation, live: bool, keys: &Keys) -> Entry {
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
    }
}

fn told(entry: &Entry) -> String {
    let live = if entry.live { "  live" } else { "" };
    let signed = match entry.signed_by.is_empty() {
        true => String::new(),
        false => format!("  signed by {}", entry.signed_by.join(", ")),
    };
    let Entry {
        number,
        time,
        author,
        message,
        sha256,
        ..
    } = entry;
    let message = message.escape_debug();
    format!("{number}{live}  {time}  {author}{signed}\n  {message}\n  {sha256}\n")
}

pub fn rollback(client: &Client, asked: &Rollback) -> Result<u8, Failure> {
    let (store, keys) = (store(client), keys(client)?);
    let live = store.live().map_err(|error| failed(&error))?;
    let numbers = store.numbers().map_err(|error| failed(&error))?;
    let before = numbers.iter().rev().find(|number| Some(**number) < live);
    let number = asked.number.or(before.copied()).ok_or_else(|| {
        Failure::new("there is no generation before the live one")
            .hint("`bulkhead policy log` lists those there are")
    })?;
    let generation = store
        .roll_back(&keys, number)
        .map_err(|error| failed(&error))?;
    print(&format!(
        "Generation {number} is live; SHA-256: {}.\n",
        generation.sha256
    ))?;
    Ok(0)
}

#[derive(Serialize)]
struct PolicyState {
    live: Option<u64>,
    sha256: Option<String>,
    /// Files of the working copy that are not as in the live generation.
    changed: Vec<String>,
    keys: Vec<String>,
    problem: Option<String>,
}

pub fn status(client: &Client, asked: &Log, json: bool) -> Result<u8, Failure> {
    let (store, keys) = (store(client), keys(client)?);
    let [_, own] = client.layout().policy_dirs();
    let usable = live_files(&store, &keys);
    let live = store.live().map_err(|error| failed(&error))?;
    let sha256 = live
        .and_then(|number| store.read(number).ok())
        .map(|g| g.sha256);
    let state = PolicyState {
        changed: live.map_or_else(Vec::new, |number| changed(&own, &store.files_of(number))),
        live,
        sha256,
        keys: keys.iter().map(|key| key.name.clone()).collect(),
        problem: usable.err().map(|error| error.to_string()),
    };
    let code = u8::from(state.problem.is_some());
    if json || asked.format == Format::Json {
        print_json(&state)?;
        return Ok(code);
    }
    let mut text = match (state.live, &state.sha256) {
        (Some(number), sha256) => {
            let sha256 = sha256.as_deref().unwrap_or("unknown");
            format!("Generation {number} is live; SHA-256: {sha256}.\n")
        }
        (None, _) => {
            "No generation was applied; what lies in the policy directories is live.\n".to_owned()
        }
    };
    if !state.changed.is_empty() {
        let changed = state.changed.join(", ");
        text.push_str(&format!(
            "The working copy is another: {changed}. `bulkhead policy diff @live` compares.\n"
        ));
    }
    if !state.keys.is_empty() {
        text.push_str(&format!(
            "Files are signed for by {}.\n",
            state.keys.join(", ")
        ));
    }
    if let Some(problem) = &state.problem {
        text.push_str(&format!("It cannot be used: {problem}.\n"));
    }
    print(&text)?;
    Ok(code)
}

/// The files that differ between two sets.
fn changed(own: &Path, live: &Path) -> Vec<String> {
    let read = |directory: &Path| read_files(directory).unwrap_or_default();
    let (own, live): (Files, Files) = (read(own), read(live));
    let paths: BTreeSet<&String> = own.keys().chain(live.keys()).collect();
    let differs = |path: &&&String| own.get(**path) != live.get(**path);
    paths
        .iter()
        .filter(differs)
        .map(|path| path.to_string())
        .collect()
}

pub fn new_key(asked: &NewKey) -> Result<u8, Failure> {
    let key = SigningKey::make(&asked.file);
    let key = key.map_err(|error| Failure::new("no key was made").because(&error))?;
    print(&format!("{}\n", key.public_hex()))?;
    Ok(0)
}
