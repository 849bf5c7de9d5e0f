// SPDX-License-Identifier: GPL-3.0-or-later
//! What a call costs, what a stream through one carries, and how many calls go at one time.
//! Prints figures, asserts none: `cargo bench -p qrexec-daemon --bench qrexec`.
//!
//! With `BULKHEAD_REFERENCE_QREXEC` naming a folder that holds another implementation's
//! `qrexec-daemon`, `qrexec-agent`, `qrexec-client`, `qrexec-client-vm` and the libraries they
//! load, the same work is also done by both over the socket transport, by turns, and the
//! ratios are printed. Arguments `calls`, `streams`, `crowd` choose. `BULKHEAD_BENCH_CALLS` sets how often each call is made.
//!
//! Policy is answered by this process (or, beside another implementation, by a program that
//! both start), so what `policyd` takes comes on top; the bench `questions` prints that.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

mod calls;
mod crowd;
mod figures;
mod site;
mod streams;

use std::path::PathBuf;

use crate::site::{Make, Site, Wire};

fn main() {
    // What `cargo test --benches` wants to know is only that it builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    println!("qrexec on the local transport");
    let local = [Site::new(Make::Ours, Wire::Local)];
    measure(&local);
    drop(local);
    let Some(folder) = std::env::var_os("BULKHEAD_REFERENCE_QREXEC") else {
        return;
    };
    println!("\nqrexec over the socket transport, ours and the reference");
    let both = [
        Site::new(Make::Ours, Wire::Socket),
        Site::new(Make::Other(PathBuf::from(folder)), Wire::Socket),
    ];
    measure(&both);
}

/// A part of the work and its name.
type Part = (&'static str, fn(&[Site]));

/// Does the same work at each site, by turns.
fn measure(sites: &[Site]) {
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let parts: [Part; 3] = [
        ("calls", calls::print),
        ("streams", streams::print),
        ("crowd", crowd::print),
    ];
    for (name, print) in parts {
        if chosen.is_empty() || chosen.iter().any(|word| word == name) {
            print(sites);
        }
    }
}
