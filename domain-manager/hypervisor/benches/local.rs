// SPDX-License-Identifier: GPL-3.0-or-later
//! How long a local guest takes from the order to its agent, and to its end.
//!
//! Prints the median and the slowest of some rounds; judges nothing.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::time::{Duration, Instant};

use bulkhead_types::Port;

#[path = "../tests/it/machine.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod machine;

const ROUNDS: usize = 30;

fn main() {
    let machine = machine::Machine::new();
    let hypervisor = machine.open();
    let endpoints = machine.endpoints();
    let spec = machine.guest("work");
    let patience = Some(Duration::from_secs(60));
    let mut stages: [Vec<Duration>; 4] = Default::default();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let domid = hypervisor.create(&spec).unwrap();
        let created = Instant::now();
        hypervisor.unpause(domid).unwrap();
        let unpaused = Instant::now();
        endpoints.connect(domid, Port::QREXEC, patience).unwrap();
        let ready = Instant::now();
        hypervisor.destroy(domid).unwrap();
        let gone = Instant::now();
        let taken = [
            created - start,
            ready - unpaused,
            ready - start,
            gone - ready,
        ];
        for (stage, taken) in stages.iter_mut().zip(taken) {
            stage.push(taken);
        }
    }
    let names = ["create", "boot to agent", "create to agent", "destroy"];
    for (name, stage) in names.into_iter().zip(&mut stages) {
        stage.sort();
        let (median, slowest) = (stage[ROUNDS / 2], stage[ROUNDS - 1]);
        println!("local guest, {name}: median {median:.1?}, slowest {slowest:.1?}");
    }
}
