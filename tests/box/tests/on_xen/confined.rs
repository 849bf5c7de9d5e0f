// SPDX-License-Identifier: GPL-3.0-or-later
//! What the processes hold that read what guests send.

use anyhow::ensure;

use crate::dom0::Dom0;
use crate::report::Report;

pub const CASES: &[&str] = &[
    "confined::whoever_reads_what_a_guest_sends_holds_no_privilege",
    "confined::and_has_no_way_open_to_other_domains",
    "confined::one_that_dies_is_followed_by_another",
];

/// The domains that are looked at.
const DOMAINS: &str = "work untrusted";
/// What reads a guest's windows, and what reads its qrexec agent; each with the number of its
/// sockets. Both have one to their launcher, the first also one to the X server; none has one to
/// xenstore.
const SESSIONS: [(&str, &str); 2] = [("gui-session", "2"), ("qrexec-session", "1")];
/// Does something for each of them, in `$pid`.
const EACH: &str = "for pid in $(pgrep -x 'gui-session|qrexec-session'); do";

pub fn play(report: &mut Report, dom0: &Dom0<'_>) {
    let [privileges, ways, next] = CASES else {
        return;
    };
    report.case(privileges, || {
        for domain in DOMAINS.split(' ') {
            dom0.succeed(&format!("bulkhead run {domain} -- true"))?;
            await_confined(dom0, domain)?;
        }
        let fields = "Uid|Gid|NoNewPrivs|Seccomp|CapPrm|CapEff|CapBnd";
        let seen = dom0.succeed(&format!(
            "{EACH} echo $(grep -wE '^({fields})' /proc/$pid/status); done"
        ))?;
        let (none, nobody) = ("0000000000000000", "65534 65534 65534 65534");
        let wanted = format!(
            "Uid: {nobody} Gid: {nobody} CapPrm: {none} CapEff: {none} CapBnd: {none} \
             NoNewPrivs: 1 Seccomp: 2"
        );
        println!("        {}", seen.trim().replace('\n', "\n        "));
        ensure!(
            seen.lines().all(|line| line.trim() == wanted),
            "not confined:\n{seen}"
        );
        Ok(())
    });
    report.case(ways, || {
        let seen = dom0.succeed(&format!("{EACH} readlink /proc/$pid/fd/*; done"))?;
        let allowed = ["/dev/xen/evtchn", "/dev/xen/gntdev", "/dev/null"];
        let unknown = |line: &&str| line.starts_with("/dev/") && !allowed.contains(line);
        let unknown: Vec<&str> = seen.lines().filter(unknown).collect();
        ensure!(unknown.is_empty(), "{unknown:?} among\n{seen}");
        for (session, wanted) in SESSIONS {
            let sockets = dom0.succeed(&format!(
                "for pid in $(pgrep -x {session}); do \
                   readlink /proc/$pid/fd/* | grep socket | sort -u | wc -l; \
                 done"
            ))?;
            ensure!(
                sockets.lines().count() > 1 && sockets.lines().all(|count| count.trim() == wanted),
                "not {wanted} sockets for each {session}:\n{sockets}{seen}"
            );
        }
        Ok(())
    });
    report.case(next, || {
        let of_work = "$(pgrep -xf 'gui-session .*--name work .*')";
        dom0.succeed(&format!("kill -9 {of_work}"))?;
        await_confined(dom0, "work")?;
        let daemons = "$(pgrep -d, -f 'qrexec-daemon .*work')";
        let of_work = format!("$(pgrep -x qrexec-session -P {daemons})");
        dom0.succeed(&format!("kill -9 {of_work}"))?;
        dom0.await_success("bulkhead run work -- true")
    });
}

/// Waits until a domain's windows have a process that is confined, which is when its agent is
/// there.
fn await_confined(dom0: &Dom0<'_>, domain: &str) -> anyhow::Result<()> {
    dom0.await_success(&format!(
        "grep -q 'Seccomp:.2' /proc/$(pgrep -f '^gui-session .*--name {domain} ')/status"
    ))
}
