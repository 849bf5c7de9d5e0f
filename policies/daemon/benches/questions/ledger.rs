// SPDX-License-Identifier: GPL-3.0-or-later
//! The ledger alone.

use std::time::{Duration, Instant, SystemTime};

use policy_ledger::{Decision, Event, Ledger, Limits, SealKey};

const RECORDS: usize = 200_000;
const BATCH: usize = 100;
/// On a machine that does other things as well, the least disturbed round counts.
const ROUNDS: usize = 5;

/// Prints records per second when they are written in batches, and how long one alone takes.
pub fn measure() {
    let rounds: Vec<_> = (0..ROUNDS).map(|_| round()).collect();
    let per_second = rounds.iter().map(|(rate, _)| *rate).fold(0.0, f64::max);
    let alone = rounds.iter().map(|(_, alone)| *alone).min().unwrap();
    println!(
        "ledger alone: {per_second:.0} records/s in batches of {BATCH}; one alone, p99 {:.1} µs",
        alone.as_secs_f64() * 1e6
    );
}

fn round() -> (f64, Duration) {
    let root = tempfile::tempdir().unwrap();
    let key = SealKey::load_or_make(&root.path().join("seal.key")).unwrap();
    let mut ledger = Ledger::open(root.path(), key, Limits::default(), "boot").unwrap();
    let event = Event::Decision(Decision {
        source: "work".into(),
        requested_target: "vault".into(),
        service: "qubes.Filecopy".into(),
        verdict: "deny".into(),
        rule: Some("/etc/bulkhead/policy.d/30-user.policy:12".into()),
        reason: Some("a rule denies the call".into()),
        ..Decision::default()
    });
    let batch = vec![event.clone(); BATCH];
    let begin = Instant::now();
    for _ in 0..RECORDS / BATCH {
        ledger.append_all(&batch, SystemTime::now()).unwrap();
    }
    let total = begin.elapsed();
    let mut times: Vec<_> = (0..RECORDS)
        .map(|_| {
            let start = Instant::now();
            ledger.append(event.clone(), SystemTime::now()).unwrap();
            start.elapsed()
        })
        .collect();
    times.sort();
    (
        RECORDS as f64 / total.as_secs_f64(),
        times[RECORDS * 99 / 100],
    )
}
