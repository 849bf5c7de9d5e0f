// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy new-key` and `sign`: owners sign what was proposed where their keys are, and not where the
//! policy is.

use std::path::{Path, PathBuf};

use bulkhead_types::escaped;
use clap::Args;
use policy_administration::{Set, replace_file};
use policy_generations::{Manifest, Signature, SigningKey};

use crate::failure::Failure;
use crate::list::print;

#[derive(Debug, Args)]
pub struct NewKey {
    /// The file for the private key, which nobody else may read. What is printed belongs into
    /// /etc/bulkhead/policy-keys/NAME.pub
    file: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_long_help = SIGN_HELP)]
pub struct Sign {
    /// What `bulkhead policy apply --propose FILE` wrote
    file: PathBuf,
    /// The private key; several for several owners
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<PathBuf>,
    /// The directory with the proposed files, to hold them against the proposal
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
}

const SIGN_HELP: &str = "\
The signatures are added to FILE.sig. Whoever signs signs the names and SHA-256 of all files, so look
at them first: with --policy they are compared with a directory, whose changes `bulkhead policy diff`
shows. `bulkhead policy apply --proposal FILE` then makes it live.";

/// Writes a proposal into a file; it may take the place of an earlier proposal, and of nothing else.
pub fn propose(proposal: &Manifest, file: &Path) -> Result<u8, Failure> {
    let other = std::fs::read(file).ok();
    if other.is_some_and(|bytes| serde_json::from_slice::<Manifest>(&bytes).is_err()) {
        return Err(
            Failure::new(format!("{} is there, and is no proposal", file.display()))
                .hint("name another file"),
        );
    }
    // What was signed was another one.
    let beside = beside(file);
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(cannot("remove", &beside, &error));
        }
        _ => {}
    }
    replace_file(file, &proposal.to_bytes()).map_err(|error| cannot("write", file, &error))?;
    let (number, file) = (proposal.number, file.display());
    print(&format!(
        "Generation {number} is proposed in {file}; `bulkhead policy sign {file} --key KEY` signs it.\n"
    ))?;
    Ok(0)
}

/// A proposal with the signatures beside it.
pub fn signed_proposal(file: &Path) -> Result<(Manifest, Vec<Signature>), Failure> {
    let bytes = std::fs::read(file).map_err(|error| cannot("read", file, &error))?;
    let proposal = serde_json::from_slice(&bytes);
    let proposal = proposal.map_err(|error| cannot("use", file, &error))?;
    let beside = beside(file);
    let signatures = match std::fs::read(&beside) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|error| cannot("use", &beside, &error))?
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(cannot("read", &beside, &error)),
    };
    Ok((proposal, signatures))
}

pub fn sign(asked: &Sign) -> Result<u8, Failure> {
    let (proposal, mut signatures) = signed_proposal(&asked.file)?;
    if let Some(directory) = &asked.policy {
        compare(&proposal, directory)?;
    }
    let bytes = proposal.to_bytes();
    for path in &asked.keys {
        let key = SigningKey::load(path);
        let key = key.map_err(|error| Failure::new("nothing was signed").because(&error))?;
        signatures.retain(|known| known.key != key.public_hex());
        signatures.push(key.sign(&bytes));
    }
    let beside = beside(&asked.file);
    let text = serde_json::to_vec_pretty(&signatures);
    let written = text.map_err(std::io::Error::from);
    let written = written.and_then(|text| replace_file(&beside, &text));
    written.map_err(|error| cannot("write", &beside, &error))?;
    let about = &proposal.about;
    let mut told = format!(
        "Signed: generation {} of {} at {}: {}\n",
        proposal.number,
        escaped(&about.author),
        escaped(&about.time),
        escaped(&about.message)
    );
    for (path, sha256) in &proposal.files {
        told.push_str(&format!("  {sha256}  {}\n", escaped(path)));
    }
    if asked.policy.is_none() {
        told.push_str("The files themselves were not looked at: `--policy DIR` does.\n");
    }
    print(&told)?;
    Ok(0)
}

/// Whether a directory holds what is proposed.
fn compare(proposal: &Manifest, directory: &Path) -> Result<(), Failure> {
    let set = Set::read(directory, None);
    let set = set.map_err(|error| Failure::new("the files cannot be read").because(&error))?;
    let Manifest { number, parent, .. } = proposal;
    let own = Manifest::new(*number, proposal.about.clone(), parent.clone(), set.files());
    let paths = own.files.keys().chain(proposal.files.keys());
    let mut differ: Vec<_> = paths
        .filter(|path| own.files.get(*path) != proposal.files.get(*path))
        .map(String::as_str)
        .collect();
    differ.sort_unstable();
    differ.dedup();
    match differ.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "nothing was signed: the proposal is of another {}",
            differ.join(", ")
        ))),
    }
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

fn cannot(what: &str, file: &Path, error: &dyn std::error::Error) -> Failure {
    Failure::new(format!("cannot {what} {}", file.display())).because(error)
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
