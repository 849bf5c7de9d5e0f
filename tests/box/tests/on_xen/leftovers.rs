// SPDX-License-Identifier: GPL-3.0-or-later
//! After the story every domain is stopped, and nothing of them stays behind.

use std::time::Duration;

use anyhow::ensure;
use bulkhead_box::{Machine, Run};

use crate::report::Report;

pub const CASES: &[&str] = &[
    "leftovers::a_killed_manager_takes_its_running_domains_over",
    "leftovers::stopped_domains_leave_no_domain_disk_process_or_node",
];

/// How long a stop may take under emulation.
const PATIENCE: Duration = Duration::from_secs(240);

/// Kills the manager with the story's domains running, then stops them all and looks around.
pub fn play(report: &mut Report, machine: &mut Machine) {
    let [taken_over, nothing] = CASES else { return };
    report.case(taken_over, || {
        succeed(machine, "pkill -9 -x bulkheadd")?;
        // The services of dom0 start it again; a command waits for the domain's agent.
        succeed(
            machine,
            "for i in $(seq 100); do bulkhead run work -- true && exit 0; sleep 1; done; exit 1",
        )?;
        Ok(())
    });
    report.case(nothing, || {
        succeed(machine, "bulkhead kill work personal untrusted")?;
        let domains = succeed(machine, "xl list | tail -n +2 | awk '{print $1}'")?;
        ensure!(
            domains.trim() == "Domain-0",
            "domains that stayed:\n{domains}"
        );
        let loops = succeed(machine, "losetup -a")?;
        ensure!(loops.is_empty(), "loop devices that stayed:\n{loops}");
        let daemons = succeed(machine, "pgrep -a 'qrexec-daemon|gui-daemon' || true")?;
        ensure!(daemons.is_empty(), "daemons that stayed:\n{daemons}");
        let nodes = succeed(
            machine,
            "xenstore-ls /local/domain/0/backend 2>/dev/null | grep -c domain || true",
        )?;
        ensure!(nodes.trim() == "0", "{nodes} nodes of back ends stayed");
        let volumes = succeed(
            machine,
            "ls /var/lib/bulkhead/pool | grep -i '^disp[0-9]' || true",
        )?;
        ensure!(
            volumes.is_empty(),
            "volumes of disposables that stayed:\n{volumes}"
        );
        Ok(())
    });
}

/// Runs a script in dom0 that has to succeed; gives what it printed.
fn succeed(machine: &Machine, script: &str) -> anyhow::Result<String> {
    let answer = machine.run(Run::script(script).timeout(PATIENCE))?;
    ensure!(
        answer.code == 0,
        "`{script}` ended with {}: {}",
        answer.code,
        answer.all()
    );
    Ok(answer.text())
}
