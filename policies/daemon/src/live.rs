// SPDX-License-Identifier: GPL-3.0-or-later
//! Which files are the live policy: those of the configuration, or, once a generation was
//! applied, those of the generation.
//!
//! Where public keys are configured, nothing that is not signed for is live: neither the files of
//! the configuration, nor run-time replacements, nor anything that lies elsewhere.

use std::path::PathBuf;

use bulkhead_policy::{Diagnostic, Policy, Rejected, SourceMap};
use bulkhead_types::Layout;
use policy_generations::{Keys, LiveFiles, Store, StoreError, live_files};
use policy_ledger::Act;

use crate::load::{Directory, load_policy_beside};
use crate::signed::load_signed;

/// The policy that decides.
#[derive(Clone, Debug)]
pub struct Live {
    /// The policy.
    pub policy: Policy,
    /// The generation it is; `None` while it is what lies in the configuration.
    pub generation: Option<u64>,
    /// Who made it live, when, how and why, for the ledger; `None` where there is no generation.
    pub activation: Option<Act>,
}

/// Reads the live policy.
///
/// # Errors
///
/// As [`load_policy`](crate::load_policy); also when the live generation was altered, or is not
/// signed for.
pub fn load_live(layout: &Layout) -> Result<Live, Rejected> {
    let keys = Keys::read(&layout.policy_keys()).map_err(|error| rejected(&error))?;
    let store = Store::at(layout.policy_generations());
    let live = live_files(&store, &keys).map_err(|error| rejected(&error))?;
    let old = layout.old_policy_dir();
    let Some(live) = live else {
        if keys.is_empty() {
            let policy = load_policy_beside(&Directory::of(layout), Some(&old))?;
            return Ok(Live {
                policy,
                generation: None,
                activation: None,
            });
        }
        let message = "keys are configured, and no generation of the policy is signed";
        return Err(global(
            Diagnostic::global(message).help("`bulkhead policy apply --sign KEY`"),
        ));
    };
    let policy = if keys.is_empty() {
        let [runtime, _] = layout.policy_dirs();
        let directories = [
            Directory::optional(runtime),
            Directory::required(&live.directory),
        ];
        load_policy_beside(&directories, Some(&old))
    } else {
        load_signed(&live.directory, &live.files)
    };
    Ok(Live {
        policy: policy?,
        generation: Some(live.number),
        activation: Some(activation(&live)),
    })
}

/// How a generation became live, as the ledger tells it. The number alone would not prove which
/// files it was.
fn activation(live: &LiveFiles) -> Act {
    let about = &live.generation.manifest.about;
    let (what, by, time) = match &live.activation {
        Some(known) => (&*known.what, &*known.by, &*known.time),
        None => ("apply", &*about.author, &*about.time),
    };
    let (number, sha256) = (live.number, &live.generation.sha256);
    let message = &about.message;
    Act {
        by: by.to_owned(),
        what: what.to_owned(),
        detail: format!("generation {number} at {time}, SHA-256: {sha256}: {message}"),
    }
}

/// Where a change may change what is live.
pub(crate) fn places(layout: &Layout) -> Vec<PathBuf> {
    let [runtime, configuration] = layout.policy_dirs();
    // Of a directory that is watched, the one above is as well: there the link is replaced.
    let current = Store::at(layout.policy_generations()).current();
    vec![runtime, configuration, current, layout.policy_keys()]
}

fn rejected(error: &(dyn std::error::Error + 'static)) -> Rejected {
    let cause = error.source().map(|cause| format!(": {cause}"));
    let message = format!(
        "the live generation cannot be used: {error}{}",
        cause.unwrap_or_default()
    );
    let diagnostic = Diagnostic::global(message);
    global(match error.downcast_ref::<StoreError>() {
        Some(StoreError::Unsigned(_)) => diagnostic.help("apply it with their owners' keys"),
        _ => diagnostic.help("`bulkhead policy log` lists the others; `bulkhead policy rollback`"),
    })
}

fn global(diagnostic: Diagnostic) -> Rejected {
    Rejected {
        diagnostics: vec![diagnostic],
        sources: SourceMap::default(),
    }
}
