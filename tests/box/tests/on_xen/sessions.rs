// SPDX-License-Identifier: GPL-3.0-or-later
//! Services of a guest in PAM sessions, with the configuration and the modules that a template has.

use anyhow::ensure;

use crate::dom0::Dom0;
use crate::report::Report;

pub const CASES: &[&str] = &[
    "sessions::a service has what its PAM session set, and the session is closed after it",
    "sessions::a service is not run for an account that has ended",
    "sessions::without the configuration a service runs without a session",
];

const CONSOLE: &str = "/var/log/xen/console/guest-work.log";

/// Takes over the configuration that every guest has for those who want it, sets a variable, and has PAM
/// note in a file what it opens and closes.
const TAKE: &str = r#"set -e
    cp /usr/lib/bulkhead/pam.d/qrexec /etc/pam.d/qrexec
    touch /etc/environment
    cp /etc/environment /root
    echo MARK=set-by-pam >>/etc/environment
    printf '#!/bin/sh\necho "$PAM_TYPE $PAM_USER" >>/run/noted\n' >/root/note
    chmod +x /root/note
    echo "session required pam_exec.so /root/note" >>/etc/pam.d/qrexec"#;
const LEAVE: &str = "rm /etc/pam.d/qrexec; mv /root/environment /etc/environment";

pub fn play(report: &mut Report, dom0: &Dom0<'_>) {
    let [session, ended, without] = CASES else {
        return;
    };
    report.case(session, || {
        start_agent_anew(dom0, TAKE)?;
        opened_and_closed(dom0)
    });
    report.case(ended, || refused(dom0));
    report.case(without, || {
        start_agent_anew(dom0, LEAVE)?;
        let told = dom0.succeed("bulkhead run work -- sh -c 'echo +$MARK'")?;
        ensure!(told == "+\n", "the service saw {told:?}");
        dom0.works()
    });
}

fn as_root(dom0: &Dom0<'_>, script: &str) -> anyhow::Result<String> {
    dom0.succeed(&format!(
        "bulkhead run --user root work -- sh -s <<'END'\n{script}\nEND"
    ))
}

/// Runs a script and ends the agent, which the guest's init starts again; the call goes with it. An agent
/// that has seen the configuration runs nothing any more once it is gone.
fn start_agent_anew(dom0: &Dom0<'_>, script: &str) -> anyhow::Result<()> {
    let _ = dom0.run(&format!(
        "bulkhead run --user root work -- sh -s <<'END'\n{script}\npkill -x qrexec-agent\nEND"
    ))?;
    dom0.await_success("bulkhead run work -- true")
}

fn opened_and_closed(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    as_root(dom0, "rm -f /run/noted")?;
    let told = dom0.succeed(
        "bulkhead run work -- sh -c 'echo $MARK; id -un; grep user /run/noted; echo end'",
    )?;
    let noted = as_root(dom0, "grep user /run/noted")?;
    ensure!(
        told == "set-by-pam\nuser\nopen_session user\nend\n",
        "the service saw {told:?}"
    );
    ensure!(
        noted == "open_session user\nclose_session user\n",
        "PAM noted {noted:?}"
    );
    dom0.works()
}

fn refused(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    as_root(dom0, "chage -E 1 user")?;
    let told = dom0.fails("bulkhead run work -- echo ran", 125, &[]);
    as_root(dom0, "chage -E -1 user")?;
    told?;
    dom0.await_success(&format!(
        "grep -a 'was not run as user: PAM refused the account' {CONSOLE}"
    ))
}
