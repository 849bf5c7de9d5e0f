// SPDX-License-Identifier: GPL-3.0-or-later
//! Our vchan and libxenvchan's own code understand each other.

use std::path::Path;

use bulkhead_box::Machine;

use crate::report::Report;

pub const CASES: &[&str] = &["vchan::every_pairing_was_played"];

/// Plays every pairing; each becomes a case.
pub fn play(report: &mut Report, machine: &Machine, programs: &Path) {
    let mut played = Vec::new();
    let outcome = vchan_interop::run(machine, programs, &mut |case| {
        let name = format!("vchan::{}", case.name);
        report.note(&name, case.seconds.into(), case.failure.clone());
        if !case.note.is_empty() {
            println!("   {}", case.note);
        }
        played.push(case.name.clone());
    });
    let [all] = CASES else { return };
    report.case(all, || {
        outcome?;
        anyhow::ensure!(
            played == vchan_interop::CASES,
            "only these were played: {played:?}"
        );
        Ok(())
    });
}
