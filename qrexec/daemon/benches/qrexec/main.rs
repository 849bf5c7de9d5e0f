// SPDX-License-Identifier: GPL-3.0-or-later
//! What a call costs, what a stream through one carries, how many calls go at one time, and how fast
//! files are copied.
//! Prints figures, asserts none: `cargo bench -p qrexec-daemon --bench qrexec`.
//!
//! With `BULKHEAD_REFERENCE_QREXEC` naming a folder that holds another implementation's
//! `qrexec-daemon`, `qrexec-agent`, `qrexec-client`, `qrexec-client-vm` and the libraries they
//! load, the same work is also done by both over the socket transport, by turns, and the
//! ratios are printed. Then each of those programs takes the place of ours, in every combination, and
//! every kind of call is made ([`pairings`]); this part can fail. More folders, as those of older
//! versions, may follow after colons: they are paired, and only the first is measured. One that holds only some of the
//! programs is paired as far as it goes.
//!
//! `BULKHEAD_PROGRAMS` names the folder with our programs where that is not cargo's; `cargo xtask bench`
//! sets it. `BULKHEAD_OTHER_BUILD` names a folder with the same programs of another build of ours, which then
//! does the same work by turns on the local transport.
//!
//! `BULKHEAD_BENCH_PARTS` chooses among `calls`, `streams`, `crowd`, `files`, `memory`,
//! `pairings`, `users`, with commas between them. `BULKHEAD_BENCH_CALLS` sets how often each call is made.
//!
//! Policy is answered by this process (or, beside another implementation, by a program that
//! both start), so what `policyd` takes comes on top; the bench `questions` prints that.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

mod calls;
mod cast;
mod crowd;
mod figures;
mod files;
mod kinds;
mod memory;
mod pairings;
mod site;
mod streams;
mod users;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cast::{Cast, Make, PARTS as PLAYED, has};
use crate::site::{Site, Wire};

fn main() -> ExitCode {
    // What `cargo test --benches` wants to know is only that it builds.
    if std::env::args().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS;
    }
    if PARTS.iter().any(|(name, _)| chosen(name)) {
        println!("qrexec on the local transport");
        let other = std::env::var_os("BULKHEAD_OTHER_BUILD").filter(|folder| !folder.is_empty());
        let other = other.map(PathBuf::from);
        let makes = [Make::Ours].into_iter().chain(other.map(Make::Other));
        let sites: Vec<Site> = makes
            .map(|make| Site::new(Cast::all(make), Wire::Local))
            .collect();
        measure(&sites);
    }
    let reference = std::env::var_os("BULKHEAD_REFERENCE_QREXEC").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&reference)
        .filter(|folder| folder.is_dir())
        .collect();
    let complete = |folder: &&PathBuf| PLAYED.iter().all(|part| has(folder, part.program()));
    if let Some(first) = folders.iter().find(complete)
        && PARTS.iter().any(|(name, _)| chosen(name))
    {
        println!("\nqrexec over the socket transport, ours and the reference");
        let makes = [Make::Ours, Make::Other(first.clone())];
        measure(&makes.map(|make| Site::new(Cast::all(make), Wire::Socket)));
    }
    if chosen("users") {
        users::print();
    }
    let mut differ = 0;
    if chosen("pairings") {
        for folder in &folders {
            differ += pairings::print(folder);
        }
    }
    if differ == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A part of the work and its name.
type Part = (&'static str, fn(&[Site]));

const PARTS: [Part; 5] = [
    ("calls", calls::print),
    ("streams", streams::print),
    ("crowd", crowd::print),
    ("files", files::print),
    ("memory", memory::print),
];

/// Whether a part is to be done. It may also be named as an argument.
fn chosen(part: &str) -> bool {
    let listed = std::env::var("BULKHEAD_BENCH_PARTS").unwrap_or_default();
    let named = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'));
    let mut words: Vec<String> = listed.split(',').map(str::to_owned).chain(named).collect();
    words.retain(|word| !word.is_empty());
    words.is_empty() || words.iter().any(|word| word == part)
}

/// Does the same work at each site, by turns.
fn measure(sites: &[Site]) {
    for (name, print) in PARTS {
        if chosen(name) {
            print(sites);
        }
    }
}
