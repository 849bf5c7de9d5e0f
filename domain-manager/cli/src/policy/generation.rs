// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy apply`, `log`, `rollback`, `status` and `new-key`.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bulkhead_policy::{Policy, System};
use policy_administration::{self as administration, Activated, NotActivated, Set, replace_file};
use policy_generations::{
    About, Files, Generation, Keys, Manifest, SigningKey, Store, StoreError, live_files, read_files,
};
use policy_ledger::rfc3339;
use policyd::control::Request;
use policyd::render;
use serde::Serialize;

use super::arguments::{Apply, Format, Log, NewKey, Rollback};
use super::live::control;
use super::{signing, source};
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};

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

/// What is said of a set that brings in what nobody can sign for.
fn outside(error: &NotActivated) -> Failure {
    failed(error).hint(
        "delete the line `!compat-4.0` if the older files are not needed; else put them into the \
         policy directory, say as `include/SERVICE`, and in its place write \
         `!include-service SERVICE * include/SERVICE` for each",
    )
}

/// The domains there are, if the domain manager tells.
fn around(client: &Client) -> Option<System> {
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

/// Makes a checked set live; `only_try` does all but that.
pub fn activate(
    client: &Client,
    set: &Set,
    message: &str,
    keys: &[PathBuf],
    only_try: bool,
) -> Result<Activated, Failure> {
    let owners = owners(client)?;
    let about = about(message);
    let keys: Result<Vec<_>, _> = keys.iter().map(|path| SigningKey::load(path)).collect();
    let keys = keys.map_err(|error| failed(&error))?;
    let store = store(client);
    let next = store.next().map_err(|error| failed(&error))?;
    let activated = administration::activate(&store, &owners, &next, set, about, &keys, only_try);
    let activated = activated.map_err(|error| match &error {
        NotActivated::Store(StoreError::Unsigned(_)) => {
            failed(&error).hint("sign with the keys of their owners: `--sign KEY`")
        }
        NotActivated::Outside(_) => outside(&error),
        _ => failed(&error),
    })?;
    if !only_try {
        read_again(client);
        prune(client, &store);
    }
    Ok(activated)
}

/// Lets go of the files of old generations; that this fails is no failure of what was asked.
fn prune(client: &Client, store: &Store) {
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

/// Has the policy daemon read what is live now, if it runs; it reads it by itself soon.
pub fn read_again(client: &Client) {
    let _ = control::ask(client, &Request::Reload);
}

/// Whether the live policy is a generation, or has to be one.
pub fn in_use(client: &Client) -> Result<bool, Failure> {
    let live = store(client).live().map_err(|error| failed(&error))?;
    Ok(live.is_some() || !owners(client)?.is_empty())
}

pub fn apply(client: &Client, asked: &Apply) -> Result<u8, Failure> {
    let [_, own] = client.layout().policy_dirs();
    let directory = asked.directory.as_deref().unwrap_or(&own);
    let old = client.layout().old_policy_dir();
    let set = Set::read(directory, Some(&old)).map_err(|error| failed(&error))?;
    let policy = checked(client, &set)?;
    if let Some(file) = &asked.propose {
        // Nobody should have to sign first to hear of it.
        if let Some(place) = set.brings_in_older_files()
            && !owners(client)?.is_empty()
        {
            return Err(outside(&NotActivated::Outside(place)));
        }
        let (number, parent) = store(client).next().map_err(|error| failed(&error))?;
        let proposal = Manifest::new(number, about(&asked.message), parent, set.files());
        return signing::propose(&proposal, file);
    }
    let live = match &asked.proposal {
        None => activate(client, &set, &asked.message, &asked.keys, asked.dry_run)?,
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
                _ => failed(&error).hint("`bulkhead policy apply --propose FILE` begins anew"),
            })?;
            if !asked.dry_run {
                read_again(client);
                prune(client, &store);
            }
            live
        }
    };
    print(&match asked.dry_run {
        true => format!("Generation {} would be live.\n", live.number),
        false => told(&live, &policy),
    })?;
    Ok(0)
}

fn about(message: &str) -> About {
    About {
        author: author(),
        time: rfc3339(SystemTime::now()),
        message: message.to_owned(),
    }
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
        print("No generation was applied; what lies in the policy directories is live.\n")?;
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
    let message = message.escape_debug();
    format!("{number}{live}  {time}  {author}{signed}{pruned}\n  {message}\n  {sha256}\n")
}

pub fn rollback(client: &Client, asked: &Rollback) -> Result<u8, Failure> {
    let (store, keys) = (store(client), owners(client)?);
    let live = store.live().map_err(|error| failed(&error))?;
    let numbers = store.numbers().map_err(|error| failed(&error))?;
    let before = numbers
        .iter()
        .rev()
        .find(|number| Some(**number) < live && store.pruned(**number).is_none());
    let number = asked.number.or(before.copied()).ok_or_else(|| {
        Failure::new("there is no generation before the live one")
            .hint("`bulkhead policy log` lists those there are")
    })?;
    let files = store.verified(number).map_err(|error| {
        let hint = match &error {
            StoreError::Pruned(_) | StoreError::None(_) => {
                "`bulkhead policy log` lists those there are"
            }
            _ => "another one may be whole: `bulkhead policy log` lists those there are",
        };
        failed(&error).hint(hint)
    })?;
    let files = files.1;
    let [_, own] = client.layout().policy_dirs();
    if asked.to_files
        && let Some(live) = live
    {
        let before = read_files(&own).map_err(|error| failed(&error))?;
        let changed = changed(&before, &store.files_of(live));
        if !changed.is_empty() {
            let changed = changed.join(", ");
            return Err(Failure::new(format!(
                "the working copy has changes that are in no generation: {changed}"
            ))
            .hint("apply them, or put them elsewhere: `--to-files` would overwrite them"));
        }
    }
    let time = rfc3339(SystemTime::now());
    let generation = store.roll_back(&keys, number, &author(), &time);
    let generation = generation.map_err(|error| failed(&error))?;
    read_again(client);
    print(&format!(
        "Generation {number} is live; SHA-256: {}.\n",
        generation.sha256
    ))?;
    if asked.to_files {
        let changed = make_like(&own, &files)?;
        print(&match changed.is_empty() {
            true => "The working copy was like it already.\n".to_owned(),
            false => format!("The working copy is like it now: {}.\n", changed.join(", ")),
        })?;
    }
    Ok(0)
}

/// Gives a directory the files of a set; what was not like it is named. Each file is the old one
/// or the new one at any time, and none of them is live.
fn make_like(own: &Path, files: &Files) -> Result<Vec<String>, Failure> {
    let before = read_files(own).map_err(|error| failed(&error))?;
    let mut changed = Vec::new();
    for (path, content) in files
        .iter()
        .filter(|(path, new)| before.get(*path) != Some(*new))
    {
        replace_file(&own.join(path), content).map_err(|error| cannot_write(own, path, &error))?;
        changed.push(path.clone());
    }
    for path in before.keys().filter(|path| !files.contains_key(*path)) {
        let removed = std::fs::remove_file(own.join(path));
        removed.map_err(|error| cannot_write(own, path, &error))?;
        changed.push(path.clone());
    }
    Ok(changed)
}

fn cannot_write(directory: &Path, path: &str, error: &std::io::Error) -> Failure {
    let file = directory.join(path);
    Failure::new(format!("cannot write {}", file.display()))
        .because(error)
        .hint("the generation is live; `bulkhead policy status` says what the working copy lacks")
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
    let (store, keys) = (store(client), owners(client)?);
    let [_, own] = client.layout().policy_dirs();
    let usable = live_files(&store, &keys);
    let live = store.live().map_err(|error| failed(&error))?;
    let sha256 = live
        .and_then(|number| store.read(number).ok())
        .map(|g| g.sha256);
    let state = PolicyState {
        changed: live.map_or_else(Vec::new, |number| {
            changed(
                &read_files(&own).unwrap_or_default(),
                &store.files_of(number),
            )
        }),
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

pub fn new_key(asked: &NewKey) -> Result<u8, Failure> {
    let key = SigningKey::make(&asked.file);
    let key = key.map_err(|error| {
        let failure = Failure::new("no key was made").because(&error);
        match asked.file.exists() {
            true => failure.hint("name another file: no key is written over"),
            false => failure,
        }
    })?;
    print(&format!("{}\n", key.public_hex()))?;
    Ok(0)
}
