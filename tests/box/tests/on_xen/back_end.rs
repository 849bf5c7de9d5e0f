// SPDX-License-Identifier: GPL-3.0-or-later
//! The Xen back end keeps what the interface of back ends promises: the conformance suite that
//! the local back end passes too, with PV guests, and one case with a PVH guest.

use std::time::Duration;

use anyhow::{Context, ensure};
use bulkhead_box::{Machine, Run};
use serde::Deserialize;

use crate::report::Report;

pub const CASES: &[&str] = &[
    "back_end::pv_guests_conform",
    "back_end::a_pvh_guest_conforms",
];

/// Eleven guests are created one after the other.
const PATIENCE: Duration = Duration::from_secs(900);

/// The suite's own line about one case.
#[derive(Deserialize)]
struct Line {
    case: String,
    passed: bool,
    seconds: f64,
    failure: Option<String>,
}

/// Plays the suite in dom0.
pub fn play(report: &mut Report, machine: &mut Machine) {
    let [pv, pvh] = CASES else { return };
    let outcome = suite(report, machine, "pv", &[]);
    report.case(pv, || outcome);
    // QEMU's emulation has been seen to lose a PVH guest once in a while: one repetition.
    let mut outcome = suite(report, machine, "pvh", &["agent"]);
    if outcome.is_err() {
        println!("    the PVH guest failed once under emulation; once more");
        outcome = suite(report, machine, "pvh", &["agent"]);
    }
    report.case(pvh, || outcome);
}

/// Plays the suite (or the cases chosen) with one kind of guest; every line becomes a case.
fn suite(
    report: &mut Report,
    machine: &Machine,
    kind: &str,
    chosen: &[&str],
) -> anyhow::Result<()> {
    let mut argv = vec![
        "/usr/lib/bulkhead-box/hypervisor-conformance",
        kind,
        "/var/lib/bulkhead/import/debian-13-minimal",
        "/var/lib/bulkhead/conformance",
    ];
    argv.extend(chosen);
    let answer = machine.run(Run::new(&argv).timeout(PATIENCE))?;
    let text = answer.text();
    let mut failed = Vec::new();
    let mut count = 0;
    for line in text.lines() {
        let line: Line = serde_json::from_str(line).with_context(|| format!("a line `{line}`"))?;
        count += 1;
        let name = format!("back_end::{kind}::{}", line.case.replace(' ', "_"));
        if line.passed || kind == "pv" {
            report.note(&name, line.seconds, line.failure.clone());
        }
        if !line.passed {
            failed.push(line.case);
        }
    }
    ensure!(count > 0, "the suite played no case: {}", answer.all());
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    ensure!(
        answer.code == 0,
        "the suite ended with {}: {}",
        answer.code,
        answer.all()
    );
    Ok(())
}
