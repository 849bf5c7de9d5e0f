// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy rollback`.

use std::path::Path;
use std::time::SystemTime;

use clap::Args;
use policy_administration::{alone_in, replace_file};
use policy_generations::{Files, StoreError, read_files};
use policy_ledger::rfc3339;

use super::{as_json, author, changed, failed, owners, read_again, refused, store};
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};

#[derive(Debug, Args)]
pub struct Rollback {
    /// Its number; without it, the one before the live one
    #[arg(value_name = "GENERATION")]
    number: Option<u64>,
    /// Make the working copy like it, so that the next `apply` does not undo it
    #[arg(long)]
    to_files: bool,
}

pub fn rollback(client: &Client, asked: &Rollback, json: bool) -> Result<u8, Failure> {
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
    let alone = asked.to_files.then(|| alone_in(&own));
    let _alone = alone.transpose().map_err(|error| failed(&error))?;
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
    let generation = generation.map_err(|error| match &error {
        StoreError::Unsigned(_) => failed(&error).hint(
            "whoever owns these files signs the same text anew: put it into the working copy, and then \
             `bulkhead policy apply --sign KEY`",
        ),
        _ => refused(&error),
    })?;
    read_again(client);
    let changed = asked.to_files.then(|| make_like(&own, &files));
    if json {
        changed.transpose()?;
        print_json(&as_json(number, &generation.sha256, true))?;
        return Ok(0);
    }
    print(&format!(
        "Generation {number} is live; SHA-256: {}.\n",
        generation.sha256
    ))?;
    if let Some(changed) = changed.transpose()? {
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
