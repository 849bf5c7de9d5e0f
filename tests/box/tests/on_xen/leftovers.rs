// SPDX-License-Identifier: GPL-3.0-or-later
//! After the story every domain is stopped, and nothing of them stays behind.

use anyhow::ensure;

use crate::dom0::Dom0;
use crate::holdings::Holdings;
use crate::report::Report;

pub const CASES: &[&str] = &[
    "leftovers::a_killed_manager_takes_its_running_domains_over",
    "leftovers::stopped_domains_leave_no_domain_disk_process_or_node",
];

/// The daemons of domains that are there. A session whose daemon was ended has ended too, and is
/// init's to collect, which takes a moment.
const DAEMONS: &str = "\
for _ in $(seq 50); do
    pgrep -a 'qrexec-daemon|qrexec-session|gui-daemon|gui-session' > /tmp/daemons || break
    sleep 0.1
done
cat /tmp/daemons";

/// Kills the manager with the story's domains running, then stops them all and looks around.
/// `before` is what dom0 held when no domain had been started yet.
pub fn play(report: &mut Report, dom0: &Dom0<'_>, before: &anyhow::Result<Holdings>) {
    let [taken_over, nothing] = CASES else { return };
    report.case(taken_over, || {
        dom0.succeed("bulkhead start work personal untrusted && pkill -9 -x bulkheadd")?;
        // The services of dom0 start it again; a command waits for the domain's agent.
        dom0.await_success("bulkhead run work -- true")
    });
    report.case(nothing, || {
        dom0.succeed("bulkhead kill work personal untrusted")?;
        let domains = dom0.succeed("xl list | tail -n +2 | awk '{print $1}'")?;
        ensure!(
            domains.trim() == "Domain-0",
            "domains that stayed:\n{domains}"
        );
        let loops = dom0.succeed("losetup -a")?;
        ensure!(loops.is_empty(), "loop devices that stayed:\n{loops}");
        let daemons = dom0.succeed(DAEMONS)?;
        ensure!(daemons.is_empty(), "daemons that stayed:\n{daemons}");
        let volumes = dom0.succeed("ls /var/lib/bulkhead/pool | grep -i '^disp[0-9]' || true")?;
        ensure!(
            volumes.is_empty(),
            "volumes of disposables that stayed:\n{volumes}"
        );
        match before {
            Ok(before) => Holdings::count(dom0)?.same_as(before),
            Err(error) => anyhow::bail!("nobody counted what there was before: {error:#}"),
        }
    });
}
