// SPDX-License-Identifier: GPL-3.0-or-later
//! The story of a suspicious file, each step a case.

use std::path::Path;

use bulkhead_box::{Machine, StoryMachine, setup};

use crate::report::Report;

pub const CASES: &[&str] = &[
    "story::the domains of the story exist",
    "story::work and untrusted start",
    "story::a terminal of each is framed in its label's colour",
    "story::untrusted opens invoice.pdf in a disposable",
    "story::the viewer closes and the disposable is gone",
    "story::untrusted may not copy a file to work",
    "story::work copies a file to personal",
    "story::ls shows every domain and run gives the guest's answer",
    "story::the desktop shows three colours of frames",
];

/// Plays it and leaves its domains running.
pub fn play(report: &mut Report, machine: &mut Machine) {
    let mut seen = StoryMachine::new(machine, setup::TEMPLATE);
    let transcript = e2e::play(&mut seen, &mut |step| {
        for line in &step.seen {
            println!("        {}", line.replace('\n', "\n        "));
        }
        let name = format!("story::{}", step.name);
        report.note(&name, step.time.as_secs_f64(), step.failure.clone());
    });
    for (name, value) in &transcript.figures {
        println!("    {name}: {value}");
    }
    if let Err(error) = machine.screenshot(Path::new("desktop.png")) {
        println!("    there is no picture of the desktop: {error}");
    }
}
