// SPDX-License-Identifier: GPL-3.0-or-later
//! Everything that only real Xen can show, in one box that boots once.
//!
//! Booting costs a minute, so the cases share a machine and are played one after the other; each
//! appears as a test of its own. A case that was promised and did not run has failed.
#![forbid(unsafe_code)]

mod asking;
mod back_end;
mod calls;
mod confined;
mod deaths;
mod dom0;
mod faults;
mod hand;
mod holdings;
mod hostile;
mod images;
mod leaks;
mod leftovers;
mod limits;
mod machine;
mod policy;
mod report;
mod sessions;
mod story;
mod typing;
mod vchan;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use bulkhead_box::{Machine, StoryMachine, setup};

use dom0::Dom0;
use holdings::Holdings;
use report::Report;

/// The groups of cases that can be chosen, in the order in which they are played. The machine is
/// always booted.
const GROUPS: &[(&str, &[&str])] = &[
    ("images", images::CASES),
    ("vchan", vchan::CASES),
    ("story", story::CASES),
    ("confined", confined::CASES),
    ("sessions", sessions::CASES),
    ("typing", typing::CASES),
    ("asking", asking::CASES),
    ("calls", calls::CASES),
    ("leaks", leaks::CASES),
    ("faults", faults::CASES),
    ("deaths", deaths::CASES),
    ("hostile", hostile::CASES),
    ("limits", limits::CASES),
    ("policy", policy::CASES),
    ("leftovers", leftovers::CASES),
    ("back_end", back_end::CASES),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    // `cargo test --test on_xen -- story faults` plays these groups only.
    let named = |name: &str| arguments.iter().any(|argument| argument == name);
    let all = !GROUPS.iter().any(|(name, _)| named(name));
    let chosen = |name: &str| all || named(name);

    let mut report = Report::default();
    report.promise(machine::CASES);
    for (name, cases) in GROUPS {
        if chosen(name) {
            report.promise(cases);
        }
    }
    if let Err(error) = play(&mut report, &chosen) {
        println!("error: the box did not reach its end: {error:#}");
    }
    report.close()
}

fn play(report: &mut Report, chosen: &dyn Fn(&str) -> bool) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    // This one lies in `TARGET/PROFILE/deps`. The programs under test are always the small and
    // quick ones: those of the release profile, or those that `cargo xtask test` has gathered.
    let target = own.ancestors().nth(3).unwrap_or(Path::new("."));
    let gathered = std::env::var_os("BULKHEAD_PROGRAMS").map(PathBuf::from);
    let programs = &gathered.unwrap_or_else(|| target.join("release"));
    let mut machine = machine::boot(report, programs)?;
    if chosen("images") {
        images::play(report, programs);
    }
    if chosen("vchan") {
        vchan::play(report, &machine, programs);
    }
    let dom0 = Dom0 {
        machine: &mut machine,
    };
    let before = Holdings::count(&dom0);
    if chosen("story") {
        story::play(report, &mut machine);
    } else {
        e2e::prepare(&mut StoryMachine::new(&mut machine, setup::TEMPLATE))?;
    }
    break_things(report, &mut machine, programs, chosen);
    let dom0 = Dom0 {
        machine: &mut machine,
    };
    if chosen("leftovers") {
        leftovers::play(report, &dom0, &before);
    }
    if chosen("back_end") {
        back_end::play(report, &mut machine);
    }
    machine.power_off().context("dom0 does not power off")?;
    Ok(())
}

/// Plays what goes wrong, with the story's domains.
fn break_things(
    report: &mut Report,
    machine: &mut Machine,
    programs: &Path,
    chosen: &dyn Fn(&str) -> bool,
) {
    let mut dom0 = Dom0 { machine };
    if chosen("confined") {
        confined::play(report, &dom0);
    }
    if chosen("sessions") {
        sessions::play(report, &dom0);
    }
    if chosen("typing") {
        typing::play(report, &mut dom0);
    }
    if chosen("asking") {
        asking::play(report, &mut dom0);
    }
    if chosen("calls") {
        calls::play(report, &dom0);
    }
    if chosen("leaks") {
        leaks::play(report, &dom0, programs);
    }
    if chosen("faults") {
        faults::play(report, &dom0);
    }
    if chosen("deaths") {
        deaths::play(report, &dom0);
    }
    if chosen("hostile") {
        hostile::play(report, &dom0, programs);
    }
    if chosen("limits") {
        limits::play(report, &dom0);
    }
    if chosen("policy") {
        policy::play(report, &dom0);
    }
}
