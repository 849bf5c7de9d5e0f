// SPDX-License-Identifier: GPL-3.0-or-later
//! Guests that die in the middle of something, never answer, or are never finished.

use anyhow::ensure;

use crate::dom0::Dom0;
use crate::report::Report;

pub const CASES: &[&str] = &[
    "deaths::a guest destroyed in the middle of its calls ends them",
    "deaths::a guest that never answers is given up with its last words",
    "deaths::a guest whose creation is killed leaves nothing",
];

/// What `xl list` says beside dom0 and the domains named.
fn others(dom0: &Dom0<'_>, ours: &str) -> anyhow::Result<String> {
    dom0.succeed(&format!(
        "xl list | tail -n +2 | awk '{{print $1}}' | grep -vxE 'Domain-0|{ours}' || true"
    ))
}

pub fn play(report: &mut Report, dom0: &Dom0<'_>) {
    let [destroyed, silent, half_made] = CASES else {
        return;
    };
    report.case(destroyed, || a_callee_is_destroyed(dom0));
    report.case(silent, || a_silent_guest(dom0));
    report.case(half_made, || a_creation_is_killed(dom0));
}

fn a_callee_is_destroyed(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    dom0.works()?;
    let from_dom0 = dom0.lasting_call("personal", 1201)?;
    // `cat` holds the copy's input open, so the call between the two guests lasts.
    let between = dom0.start(
        "bulkhead run work -- sh -c 'mkfifo -m 600 /tmp/held; exec 3<>/tmp/held; \
         qrexec-client-vm personal qubes.Filecopy </tmp/held >/dev/null'",
    )?;
    dom0.await_success("bulkhead run personal -- pgrep -f '[q]ubes.Filecopy|[q]file-receiver'")?;
    dom0.succeed("xl destroy personal")?;
    for call in [from_dom0, between] {
        let ended = dom0.end(&call)?;
        ensure!(ended.code != 0, "a call that was cut looks like success");
    }
    dom0.works()
}

fn a_silent_guest(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    dom0.succeed("bulkhead kill personal && bulkhead domain set personal qrexec_timeout 3")?;
    let words = ["within 3 s", "the end of its console:"];
    let given_up = dom0.fails("bulkhead start personal", 1, &words);
    let left = others(dom0, "work|untrusted")?;
    dom0.succeed("bulkhead domain reset personal qrexec_timeout")?;
    given_up?;
    ensure!(left.is_empty(), "domains that stayed:\n{left}");
    dom0.works()
}

fn a_creation_is_killed(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    dom0.succeed("bulkhead kill personal")?;
    let domains = "xenstore-list /local/domain | wc -w";
    let before = dom0.succeed(domains)?;
    let start = dom0.start("bulkhead start personal")?;
    dom0.await_success(&format!("test $({domains}) -gt {}", before.trim()))?;
    dom0.succeed("pkill -9 -f '[x]l create'")?;
    let ended = dom0.end(&start)?;
    let said = ended.all();
    ensure!(
        ended.code == 1 && said.contains("`personal` did not start"),
        "expected a start that says that it failed, found {} and {said}",
        ended.code
    );
    let left = others(dom0, "work|untrusted")?;
    ensure!(left.is_empty(), "domains that stayed:\n{left}");
    dom0.works()
}
