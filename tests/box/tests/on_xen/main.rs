// SPDX-License-Identifier: GPL-3.0-or-later
//! Everything that only real Xen can show, in one box that boots once.
//!
//! Booting costs a minute, so the cases share a machine and are played one after the other; each
//! appears as a test of its own. A case that was promised and did not run has failed.
#![forbid(unsafe_code)]

mod back_end;
mod images;
mod leftovers;
mod machine;
mod report;
mod story;
mod vchan;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use report::Report;

fn main() -> ExitCode {
    // `cargo test` hands a filter on; there is one boot for all cases, so only a filter that
    // matches none of them spares it.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let mut report = Report::default();
    report.promise(machine::CASES);
    report.promise(images::CASES);
    report.promise(vchan::CASES);
    report.promise(story::CASES);
    report.promise(leftovers::CASES);
    report.promise(back_end::CASES);
    if let Err(error) = play(&mut report) {
        println!("error: the box did not reach its end: {error:#}");
    }
    report.close()
}

fn play(report: &mut Report) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    // This one lies in `TARGET/PROFILE/deps`. The programs under test are always the small and
    // quick ones of the release profile.
    let target = own.ancestors().nth(3).unwrap_or(Path::new("."));
    let programs = &target.join("release");
    let mut machine = machine::boot(report, programs)?;
    images::play(report, programs);
    vchan::play(report, &machine, programs);
    story::play(report, &mut machine);
    leftovers::play(report, &mut machine);
    back_end::play(report, &mut machine);
    machine.power_off().context("dom0 does not power off")?;
    Ok(())
}
