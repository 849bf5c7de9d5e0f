// SPDX-License-Identifier: GPL-3.0-or-later
//! Calls in number and in size.

use std::time::Instant;

use anyhow::ensure;

use crate::dom0::{Dom0, PATIENCE};
use crate::report::Report;

pub const CASES: &[&str] = &[
    "calls::two hundred calls at once are all answered",
    "calls::a stream through a call arrives whole in both directions",
];

/// Calls under way in one domain.
const CROWD: u32 = 200;

/// Prints how many calls of the crowd wait in the domain.
const WAITING: &str = "bulkhead run work -- pgrep -cfx 'cat gate'";

/// Bytes of a stream.
const BYTES: u32 = 50_000_000;

pub fn play(report: &mut Report, dom0: &Dom0<'_>) {
    let [crowd, stream] = CASES else { return };
    report.case(crowd, || all_at_once(dom0));
    report.case(stream, || both_ways(dom0));
}

fn all_at_once(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    // Whoever opens a pipe to read waits until somebody opens it to write.
    dom0.succeed("bulkhead run work -- sh -c 'rm -f gate; mkfifo gate'")?;
    // Twenty at a time: a caller gives up when its call has not begun after ten seconds, in which
    // an emulated machine starts no more than some dozens of programs.
    let calls = dom0.start(&format!(
        "mkdir -p /tmp/crowd && cd /tmp/crowd && for i in $(seq {CROWD}); do \
           bulkhead run work -- sh -c \"cat gate; echo $i\" >$i 2>&1 & \
           test $((i % 20)) -eq 0 && until test $({WAITING}) -eq $i; do sleep 0.5; done; \
         done; touch /tmp/crowd/all; wait; cat $(seq {CROWD}); rm -r /tmp/crowd"
    ))?;
    let there = dom0.machine.await_path("/tmp/crowd/all", PATIENCE);
    dom0.succeed("bulkhead run work -- sh -c ': >gate'")?;
    let answers = dom0.end(&calls)?;
    there?;
    let expected: String = (1..=CROWD).map(|i| format!("{i}\n")).collect();
    ensure!(
        answers.text() == expected,
        "some calls were lost: {}",
        answers.all()
    );
    dom0.works()
}

fn both_ways(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    let timed = |script: &str| -> anyhow::Result<f64> {
        let begun = Instant::now();
        let count = dom0.succeed(script)?;
        ensure!(count.trim() == BYTES.to_string(), "{count} bytes arrived");
        Ok(f64::from(BYTES) / begun.elapsed().as_secs_f64() / 1e6)
    };
    let zeros = format!("head -c {BYTES} /dev/zero");
    let into = timed(&format!("{zeros} | bulkhead run work -- wc -c"))?;
    let out = timed(&format!("bulkhead run work -- {zeros} | wc -c"))?;
    println!("    into the guest {into:.1} MB/s, out of it {out:.1} MB/s");
    Ok(())
}
