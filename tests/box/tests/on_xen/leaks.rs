// SPDX-License-Identifier: GPL-3.0-or-later
//! What many calls leave behind in Xen: nothing.
//!
//! The number is small; `BULKHEAD_CALLS_IN_A_ROW` makes it what is promised (10 000). Under emulation that
//! takes hours: `BULKHEAD_CALLS_SECONDS` begins no more calls after so long. What is said at the end is how
//! many were made.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::dom0::{Dom0, PATIENCE};
use crate::holdings::Holdings;
use crate::report::Report;

pub const CASES: &[&str] =
    &["leaks::calls of every kind leave no node, watch, channel or page of Xen behind"];

/// Calls unless more are asked for.
const CALLS: usize = 200;
/// Calls of one kind in a row, few enough for one script under emulation.
const IN_A_ROW: usize = 10;

/// Who calls, and what; a call that comes to an end of its own has a code below 125.
const KINDS: [(&str, &str); 4] = [
    ("sh -c", "bulkhead run work -- true"),
    (
        "bulkhead run work -- sh -c",
        "qrexec-client-vm personal qubes.Filecopy </dev/null; test $? -lt 125",
    ),
    // It need not be there: dom0 is asked, and answers.
    (
        "bulkhead run work -- sh -c",
        "qrexec-client-vm dom0 qubes.GetDate </dev/null; c=$?; test $c -eq 127 -o $c -eq 0",
    ),
    (
        "bulkhead run untrusted -- sh -c",
        "qrexec-client-vm work qubes.Filecopy </dev/null; test $? -eq 126",
    ),
];

pub fn play(report: &mut Report, dom0: &Dom0<'_>) {
    let [nothing] = CASES else { return };
    report.case(nothing, || nothing_stays(dom0));
}

fn nothing_stays(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    dom0.succeed("bulkhead start work personal untrusted")?;
    // What is made once and kept is made now.
    calls(dom0, 2)?;
    let before = Holdings::count(dom0)?;
    let call = dom0.lasting_call("work", 1301)?;
    let during = Holdings::count(dom0)?;
    // Both may be ended by the signal; what matters is that they have ended.
    let _ = dom0.run("bulkhead run work -- pkill -fx 'sleep 1301'")?;
    let _ = dom0.end(&call)?;
    ensure!(
        during.more_of_each(&before),
        "a call under way is not seen; without it {before}; with it {during}"
    );
    let asked = number("BULKHEAD_CALLS_IN_A_ROW").unwrap_or(CALLS);
    let seconds = number("BULKHEAD_CALLS_SECONDS").unwrap_or(usize::MAX);
    let begun = Instant::now();
    let mut made = 0;
    while made < asked && begun.elapsed().as_secs() < seconds as u64 {
        calls(dom0, IN_A_ROW)?;
        made += IN_A_ROW * KINDS.len();
    }
    println!(
        "    {made} calls in {:.0} s; before: {before}",
        begun.elapsed().as_secs_f64()
    );
    let deadline = Instant::now() + PATIENCE;
    // The last of them may still be closing.
    loop {
        let now = Holdings::count(dom0)?;
        match now.same_as(&before) {
            Ok(()) => {
                println!("    afterwards: {now}");
                return Ok(());
            }
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("after {made} calls"));
            }
            Err(_) => thread::sleep(Duration::from_secs(1)),
        }
    }
}

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok()?.parse().ok()
}

fn calls(dom0: &Dom0<'_>, times: usize) -> anyhow::Result<()> {
    for (shell, call) in KINDS {
        let all = format!("for i in $(seq {times}); do {{ {call}; }} >/dev/null || exit 1; done");
        dom0.succeed(&format!("{shell} '{all}'"))?;
    }
    Ok(())
}
