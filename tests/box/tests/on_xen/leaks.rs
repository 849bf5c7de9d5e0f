// SPDX-License-Identifier: GPL-3.0-or-later
//! What many calls leave behind in Xen: nothing.
//!
//! Some are whole commands, each with a process or three; the others are made by one program in a guest,
//! which emulation does not slow down as much. The number is small; `BULKHEAD_CALLS_IN_A_ROW` makes it what
//! is promised (10 000), and `BULKHEAD_CALLS_SECONDS` begins no more calls after so long. What is said at
//! the end is how many were made.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::dom0::{Dom0, PATIENCE};
use crate::holdings::Holdings;
use crate::report::Report;

pub const CASES: &[&str] =
    &["leaks::calls of every kind leave no node, watch, channel or page of Xen behind"];

/// Calls unless more are asked for.
const CALLS: usize = 400;
/// How many of them are whole commands.
const COMMANDS: usize = 120;
/// Whole commands of one kind in a row, few enough for one script under emulation.
const COMMANDS_IN_A_ROW: usize = 10;
/// Calls that one program makes in a row.
const IN_A_ROW: usize = 100;

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

/// What `work` may lack afterwards of the memory that it had, in KiB. The pages of calls that its kernel
/// still waited for would be 80 KiB for each call to another guest.
const MEMORY: u64 = 3 << 10;

/// Makes calls in `work`, one after the other.
const PROGRAM: &str = "/root/repeated-calls";

/// Where that program calls what, and how each of those calls ends.
const REPEATED: [(&str, &str, &str); 4] = [
    ("personal", "qubes.Filecopy", "1"),
    ("dom0", "qubes.GetDate", "127"),
    // No rule knows it, so that it is refused and nobody is asked.
    ("untrusted", "test.Unheard", "126"),
    ("personal", "qubes.Filecopy", "1"),
];

pub fn play(report: &mut Report, dom0: &Dom0<'_>, programs: &Path) {
    let [nothing] = CASES else { return };
    report.case(nothing, || nothing_stays(dom0, programs));
}

fn nothing_stays(dom0: &Dom0<'_>, programs: &Path) -> anyhow::Result<()> {
    dom0.succeed("bulkhead start work personal untrusted")?;
    let from = programs.join("repeated-calls");
    dom0.machine.put_file(&from, PROGRAM, 0o755)?;
    dom0.succeed(&format!(
        "bulkhead run work -- sh -c 'cat >repeated-calls && chmod +x repeated-calls' <{PROGRAM}"
    ))?;
    // What is made once and kept is made now.
    commands(dom0, 2)?;
    repeated(dom0, IN_A_ROW / 10)?;
    let memory = available(dom0)?;
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
        made += if made < COMMANDS {
            commands(dom0, COMMANDS_IN_A_ROW)?
        } else {
            repeated(dom0, IN_A_ROW.min((asked - made).div_ceil(REPEATED.len())))?
        };
    }
    println!(
        "    {made} calls in {:.0} s; before: {before}",
        begun.elapsed().as_secs_f64()
    );
    let now = available(dom0)?;
    println!("    memory that is available in `work`: {memory} KiB, afterwards {now} KiB");
    ensure!(
        now + MEMORY >= memory,
        "{made} calls took {} KiB of the memory of `work`",
        memory.saturating_sub(now)
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

/// Makes calls of every kind as whole commands, and says how many.
fn commands(dom0: &Dom0<'_>, times: usize) -> anyhow::Result<usize> {
    for (shell, call) in KINDS {
        let all = format!("for i in $(seq {times}); do {{ {call}; }} >/dev/null || exit 1; done");
        dom0.succeed(&format!("{shell} '{all}'"))?;
    }
    Ok(times * KINDS.len())
}

/// Has the program make calls of every kind, and says how many.
fn repeated(dom0: &Dom0<'_>, times: usize) -> anyhow::Result<usize> {
    for (target, service, code) in REPEATED {
        let call = format!("bulkhead run work -- ./repeated-calls {target} {service} {times}");
        let said = dom0.succeed(&call)?;
        ensure!(
            said.trim() == format!("{code}:{times}"),
            "`{call}`: {said}, not {code} each time"
        );
    }
    Ok(times * REPEATED.len())
}

/// The memory that programs in `work` can still have, in KiB.
fn available(dom0: &Dom0<'_>) -> anyhow::Result<u64> {
    let script = "sync; echo 3 >/proc/sys/vm/drop_caches; grep MemFree /proc/meminfo";
    let said = dom0.succeed(&format!(
        "bulkhead run --user root work -- sh -c '{script}'"
    ))?;
    let count = said.split_whitespace().nth(1);
    count
        .and_then(|count| count.parse().ok())
        .with_context(|| format!("`work` does not tell of its memory: {said}"))
}
