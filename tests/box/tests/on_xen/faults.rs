// SPDX-License-Identifier: GPL-3.0-or-later
//! Daemons of dom0 are killed one by one while domains use them: whoever waits gets an error
//! and does not hang, and the next run works.

use anyhow::ensure;

use crate::dom0::Dom0;
use crate::report::Report;

pub const CASES: &[&str] = &[
    "faults::without policyd calls are refused",
    "faults::a killed qrexec daemon is replaced and nobody hangs",
    "faults::a killed GUI daemon comes back and frames the windows",
    "faults::a manager killed while a disposable starts leaves none",
    "faults::a policy with an error stays out",
    "faults::without a policy everything is refused",
];

const POLICY: &str = "/etc/bulkhead/policy.d";

pub fn play(report: &mut Report, dom0: &Dom0<'_>) {
    let [no_policyd, qrexec, gui, manager, bad_policy, no_policy] = CASES else {
        return;
    };
    report.case(no_policyd, || without_policyd(dom0));
    report.case(qrexec, || qrexec_daemon(dom0));
    report.case(gui, || gui_daemon(dom0));
    report.case(manager, || manager_during_a_start(dom0));
    report.case(bad_policy, || policy_with_an_error(dom0));
    report.case(no_policy, || without_a_policy(dom0));
}

fn without_policyd(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    dom0.works()?;
    // Dom0 would start it again at once.
    dom0.succeed("mv /usr/bin/policyd /usr/bin/policyd.away && pkill -9 -x policyd")?;
    let refused = dom0.fails(
        "bulkhead run work -- bulkhead-copy personal note",
        126,
        &["work could not copy files to personal"],
    );
    let told = dom0.run("bulkhead status");
    dom0.succeed("mv /usr/bin/policyd.away /usr/bin/policyd")?;
    refused?;
    let told = told?.all();
    ensure!(told.contains("policyd"), "`bulkhead status` said {told}");
    await_policyd(dom0)?;
    dom0.works()
}

fn qrexec_daemon(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    dom0.succeed("bulkhead run work -- rm -f here go")?;
    let call = dom0.start(
        "bulkhead run work -- sh -c 'touch here; until test -e go; do sleep 0.2; done; exit 5'",
    )?;
    dom0.await_success("bulkhead run work -- test -e here")?;
    dom0.succeed("pkill -9 -f '[q]rexec-daemon .* work '")?;
    // Answered or refused, but not hanging, while the daemon is away.
    let _either = dom0.run("bulkhead run work -- true")?;
    dom0.works()?;
    // Its bytes do not pass through the daemon, so it may have lived on.
    dom0.succeed("bulkhead run work -- touch go")?;
    let ended = dom0.end(&call)?;
    ensure!(ended.code != 0, "a call that was cut looks like success");
    Ok(())
}

fn gui_daemon(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    let terminal = dom0.start("bulkhead run --gui work -- xterm")?;
    let framed = "desktop-probe framed work '[work] ' 3465a4 200";
    dom0.succeed(framed)?;
    let daemon = "pgrep -f '[g]ui-daemon .*--name work '";
    let before = dom0.succeed(daemon)?;
    dom0.succeed("pkill -9 -f '[g]ui-daemon .*--name work '")?;
    dom0.await_success(&format!(
        "now=$({daemon}) && test -n \"$now\" && test \"$now\" != '{}'",
        before.trim()
    ))?;
    dom0.succeed(framed)?;
    // Closing goes to the terminals themselves, so the guest is heard as well. One that is listed
    // may be gone by now.
    dom0.succeed(
        "until desktop-probe gone work 3; do \
           for id in $(desktop-probe windows | tr '{' '\\n' | grep '\"domain\":\"work\"' | \
             sed 's/.*\"id\":\\([0-9]*\\).*/\\1/'); do desktop-probe close $id || true; done; \
         done",
    )?;
    let ended = dom0.end(&terminal)?;
    ensure!(ended.code == 0, "{}: {}", ended.code, ended.all());
    dom0.works()
}

fn manager_during_a_start(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    let start = dom0.start("bulkhead disposable -- true")?;
    dom0.await_success(
        "xenstore-list /local/domain | while read -r id; do \
        xenstore-read /local/domain/$id/name; done | grep -q '^disp[0-9]'",
    )?;
    dom0.succeed("pkill -9 -x bulkheadd")?;
    let ended = dom0.end(&start)?;
    ensure!(ended.code != 0, "a start that was cut looks like success");
    dom0.await_success("bulkhead ls")?;
    let there = dom0.succeed("bulkhead ls --json; xl list; ls /var/lib/bulkhead/pool")?;
    let left: Vec<&str> = there
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| {
            word.strip_prefix("disp")
                .is_some_and(|rest| rest.parse::<u32>().is_ok())
        })
        .collect();
    ensure!(
        left.is_empty(),
        "of the disposable stays: {left:?} in {there}"
    );
    let name = dom0.succeed("bulkhead disposable -- hostname")?;
    ensure!(name.starts_with("disp"), "the next disposable is {name:?}");
    dom0.works()
}

fn policy_with_an_error(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    let bad = format!("{POLICY}/10-bad.policy");
    dom0.succeed(&format!(
        "echo 'qubes.Filecopy * work personal allwo' > {bad}"
    ))?;
    let told = dom0
        .await_success("bulkhead status 2>&1 | grep -q 10-bad.policy")
        .and_then(|()| {
            let words = ["10-bad.policy:1:", "^^^^^", "allow"];
            dom0.fails("bulkhead policy check", 1, &words)
        })
        // The last good one decides on.
        .and_then(|()| dom0.works());
    dom0.succeed(&format!("rm {bad}"))?;
    told?;
    dom0.await_success("! bulkhead status 2>&1 | grep -q 10-bad.policy")?;
    dom0.works()
}

fn without_a_policy(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    dom0.succeed(&format!("mv {POLICY} {POLICY}.away && pkill -9 -x policyd"))?;
    let refused = await_policyd(dom0).and_then(|()| {
        dom0.fails(
            "bulkhead run work -- bulkhead-copy personal note",
            126,
            &["work could not copy files to personal"],
        )
    });
    dom0.succeed(&format!("mv {POLICY}.away {POLICY} && pkill -9 -x policyd"))?;
    refused?;
    await_policyd(dom0)?;
    dom0.works()
}

/// Waits until the policy daemon that dom0 starts again answers.
fn await_policyd(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    dom0.await_success("pgrep -x policyd && ! bulkhead status 2>&1 | grep 'does not answer'")
}
