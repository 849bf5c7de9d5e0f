// SPDX-License-Identifier: GPL-3.0-or-later
//! The machine itself: Xen boots, dom0 comes up, and its disk can share blocks.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use bulkhead_box::{Machine, Options, Run, setup};
use template_builder::Cache;

use crate::report::Report;

pub const CASES: &[&str] = &[
    "machine::xen_boots_and_dom0_answers",
    "machine::xl_reports_a_real_hypervisor",
    "machine::the_desktop_comes_up",
    "machine::the_pool_shares_blocks",
];

/// How long dom0's services may take.
const SERVICES: Duration = Duration::from_secs(240);

/// Makes the images, boots, and looks at what came up.
pub fn boot(report: &mut Report, programs: &Path) -> anyhow::Result<Machine> {
    let begun = Instant::now();
    let progress = |text: &str| println!("{:6.1} s  {text}", begun.elapsed().as_secs_f32());
    let options: Options = setup::prepare(&Cache::of_user(), programs, &progress)?;
    let [booted, hypervisor, desktop, pool] = CASES else {
        anyhow::bail!("the cases of the machine are four");
    };
    let begun = Instant::now();
    let machine = Machine::boot(&options);
    let failure = machine.as_ref().err().map(ToString::to_string);
    report.note(booted, begun.elapsed().as_secs_f64(), failure);
    let machine = machine?;
    report.case(hypervisor, || {
        machine.await_path("/run/box/xen", SERVICES)?;
        let answer = machine.run(Run::new(&["xl", "info"]))?;
        ensure!(
            answer.text().contains("xen_version"),
            "xl info says: {}",
            answer.all()
        );
        ensure!(
            answer.text().contains("virt_caps              : pv hvm"),
            "{}",
            answer.text()
        );
        Ok(())
    });
    report.case(desktop, || {
        machine.await_path("/run/box/desktop", SERVICES)?;
        Ok(machine.await_path(setup::PROMPT, SERVICES)?)
    });
    report.case(pool, || {
        let copy = "cd /var/lib/bulkhead && echo a > b1 && cp --reflink=always b1 b2 && rm b1 b2";
        let answer = machine.run(Run::script(copy))?;
        ensure!(answer.code == 0, "{}", answer.all());
        Ok(())
    });
    Ok(machine)
}
