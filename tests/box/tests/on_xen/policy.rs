// SPDX-License-Identifier: GPL-3.0-or-later
//! What an administrator's commands do to the calls of real guests.

use crate::dom0::Dom0;
use crate::report::Report;

pub const CASES: &[&str] = &[
    "policy::a grant allows what it counts, and nothing after its end",
    "policy::a call between guests that runs is ended with its grant",
    "policy::past a quota a call is refused for that",
    "policy::a set that fails its expectations never decides, and one that meets them does",
    "policy::the record of it all is whole",
];

/// Refused by the policy that is shipped, whatever the story allows.
const CALL: &str =
    "bulkhead run personal -- sh -c 'echo echo answered | qrexec-client-vm work qubes.VMShell'";
const ALLOWED: &str = "qubes.VMShell * personal work allow";
const FILES: &str = "/etc/bulkhead/policy.d";

pub fn play(report: &mut Report, dom0: &Dom0<'_>) {
    let [grant, cut, quota, generation, record] = CASES else {
        return;
    };
    report.case(grant, || grants(dom0));
    report.case(cut, || cut_off(dom0));
    report.case(quota, || quotas(dom0));
    report.case(generation, || generations(dom0));
    report.case(record, || {
        dom0.succeed("bulkhead policy audit verify")?;
        let expected = [
            "grant by ",
            "grant-ended by ",
            "apply by ",
            "generation 1 at ",
        ];
        let acts = dom0.succeed("bulkhead policy audit event=act")?;
        for words in expected {
            anyhow::ensure!(
                acts.contains(words),
                "no `{words}` in what was done:\n{acts}"
            );
        }
        Ok(())
    });
}

fn answered(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    let text = dom0.succeed(CALL)?;
    anyhow::ensure!(text == "answered\n", "`{CALL}` printed {text:?}");
    Ok(())
}

fn refused(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    dom0.fails(CALL, 126, &["refused"])
}

fn grants(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    const GRANT: &str = "bulkhead policy grant personal work qubes.VMShell --for 10m";
    refused(dom0)?;
    dom0.succeed(&format!("{GRANT} --uses 1"))?;
    answered(dom0)?;
    refused(dom0)?;
    dom0.succeed(GRANT)?;
    answered(dom0)?;
    dom0.succeed("bulkhead policy revoke --all")?;
    refused(dom0)
}

/// A call that has begun and does not end by itself ends as a refused one; nobody in the other guest goes on
/// serving it, and both have said so.
fn cut_off(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    // Both ends of what it reads are its own, so that it never ends.
    const CALL: &str = "bulkhead run personal -- sh -c 'mkfifo open; exec 3<>open; echo echo begun >&3; \
                        exec qrexec-client-vm work qubes.VMShell <&3'";
    dom0.succeed("bulkhead policy grant personal work qubes.VMShell --for 10m")?;
    let story = format!(
        "{CALL} > /tmp/cut 2>&1 & call=$!; \
         until grep -q begun /tmp/cut; do sleep 0.2; done; \
         bulkhead policy revoke --all; wait $call; echo code $?; cat /tmp/cut"
    );
    let told = dom0.succeed(&story)?;
    for words in ["code 126", "the permission for it has ended"] {
        anyhow::ensure!(told.contains(words), "no `{words}` in {told:?}");
    }
    let record = dom0.succeed("bulkhead policy audit event=close | tail -n 3")?;
    anyhow::ensure!(
        record.contains("the grant has ended") && !record.contains("not confirmed"),
        "{record}"
    );
    Ok(())
}

fn quotas(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    dom0.works()?;
    dom0.succeed("bulkhead policy quota set work qubes.Filecopy --per-minute 1")?;
    let told = dom0.works().and_then(|()| {
        let again = "bulkhead run work -- bulkhead-copy personal note";
        dom0.fails(again, 125, &["too many calls are under way"])
    });
    dom0.succeed("bulkhead policy quota remove work qubes.Filecopy")?;
    told?;
    dom0.works()
}

fn generations(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    let rule = format!("{FILES}/20-box.policy");
    let expectation = format!("{FILES}/20-box.test");
    dom0.succeed(&format!("echo '{ALLOWED}' > {rule}"))?;
    let told = sets(dom0, &expectation);
    // What decides is a generation from now on, so the next is made without these.
    dom0.succeed(&format!("rm -f {rule} {expectation}"))?;
    dom0.succeed("bulkhead policy apply -m 'as before'")?;
    told?;
    refused(dom0)?;
    dom0.works()
}

fn sets(dom0: &Dom0<'_>, expectation: &str) -> anyhow::Result<()> {
    let apply = "bulkhead policy apply -m 'a shell for personal'";
    dom0.succeed(&format!(
        "echo 'personal -> work qubes.VMShell deny' > {expectation}"
    ))?;
    let words = ["20-box.test:1", "expected `deny`"];
    dom0.fails(apply, 1, &words)?;
    dom0.succeed(&format!(
        "echo 'personal -> work qubes.VMShell allow' > {expectation} && {apply}"
    ))?;
    answered(dom0)
}
