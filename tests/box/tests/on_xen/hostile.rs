// SPDX-License-Identifier: GPL-3.0-or-later
//! A guest that sends garbage on each of its channels loses its own sessions and nothing else.

use std::path::Path;

use anyhow::ensure;

use crate::dom0::Dom0;
use crate::report::Report;

pub const CASES: &[&str] = &[
    "hostile::garbage on the control channel ends that session alone",
    "hostile::garbage on the windows channel ends that session alone",
    "hostile::garbage on data channels ends those calls with an error",
];

const PROGRAM: &str = "/root/hostile-guest";

/// What the guest says, as dom0 keeps it.
const CONSOLE: &str = "/var/log/xen/console/guest-untrusted.log";

pub fn play(report: &mut Report, dom0: &Dom0<'_>, programs: &Path) {
    let [control, windows, data] = CASES else {
        return;
    };
    report.case(control, || {
        let from = programs.join("hostile-guest");
        dom0.machine.put_file(&from, PROGRAM, 0o755)?;
        unleash(dom0, "garbage 512 4")?;
        survive(dom0, "session 3: ")
    });
    report.case(windows, || {
        unleash(dom0, "garbage 6000 4")?;
        survive(dom0, "session 3: ")
    });
    report.case(data, || {
        unleash(dom0, "calls 4")?;
        // It serves when it has ended the agent and dom0's daemon has come back to it.
        let failed = dom0.succeed(&format!(
            "failed=0; until grep -q '^done' {CONSOLE}; do \
               bulkhead run untrusted -- true >/dev/null 2>&1; \
               test $? -ge 125 && failed=$((failed+1)); \
             done; echo $failed"
        ))?;
        let failed: u32 = failed.trim().parse()?;
        ensure!(failed >= 4, "only {failed} calls into garbage failed");
        survive(dom0, "call 3: ")
    });
}

/// Starts the program in `untrusted` as root, since it takes the place of root's agent. What it
/// did is read from the guest's console.
fn unleash(dom0: &Dom0<'_>, arguments: &str) -> anyhow::Result<()> {
    dom0.succeed(&format!(
        "bulkhead run --user root untrusted -- sh -c 'cat > /root/hostile && chmod +x /root/hostile' <{PROGRAM}"
    ))?;
    dom0.succeed(&format!(": >{CONSOLE}"))?;
    // It ends the agent that carries this call, maybe before the call's own end.
    let _maybe_cut = dom0.run(&format!(
        "bulkhead run --user root untrusted -- \
         sh -c 'setsid /root/hostile {arguments} >/dev/console 2>&1 </dev/null &'"
    ))?;
    Ok(())
}

/// The other domains work while the attack runs and after it, and the domain itself is back
/// after a restart at the latest.
fn survive(dom0: &Dom0<'_>, last: &str) -> anyhow::Result<()> {
    dom0.works()?;
    dom0.await_success(&format!("grep -q '^done' {CONSOLE}"))?;
    let told = dom0.succeed(&format!("tr -d '\\r' <{CONSOLE}"))?;
    ensure!(
        told.contains(last) && told.contains("sent Ok") && !told.contains("error:"),
        "the hostile guest told: {told}"
    );
    dom0.works()?;
    dom0.succeed("bulkhead kill untrusted")?;
    let again = dom0.succeed("bulkhead run untrusted -- echo again")?;
    ensure!(again == "again\n", "{again}");
    Ok(())
}
