// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy status`.

use policy_generations::{live_files, read_files};
use serde::Serialize;

use super::log::Log;
use super::{changed, failed, owners, store, without_generation};
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};
use crate::policy::arguments::Format;

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
        (None, _) => without_generation(&keys).to_owned(),
    };
    if !state.changed.is_empty() {
        let changed = state.changed.join(", ");
        text.push_str(&format!(
            "The working copy is another: {changed}. `bulkhead policy diff` compares.\n"
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
