// SPDX-License-Identifier: GPL-3.0-or-later
//! dom0 of the box, as the cases that break things use it.

use std::time::Duration;

use anyhow::ensure;
use bulkhead_box::{Machine, Output, Run, Started};

/// How long a step may take under emulation. Nothing here is to hang, and a minute is already
/// ten times what the slowest step takes on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// A booted box.
pub struct Dom0<'a> {
    pub machine: &'a mut Machine,
}

impl Dom0<'_> {
    /// Runs a script, whatever its exit code.
    pub fn run(&self, script: &str) -> anyhow::Result<Output> {
        let output = self.machine.run(Run::script(script).timeout(PATIENCE))?;
        ensure!(!output.timed_out, "`{script}` hung: {}", output.all());
        Ok(output)
    }

    /// Runs a script that has to succeed; gives what it printed.
    pub fn succeed(&self, script: &str) -> anyhow::Result<String> {
        let output = self.run(script)?;
        ensure!(
            output.code == 0,
            "`{script}` ended with {}: {}",
            output.code,
            output.all()
        );
        Ok(output.text())
    }

    /// Runs a script that has to fail, with a message that has all these words in it.
    pub fn fails(&self, script: &str, code: i32, words: &[&str]) -> anyhow::Result<()> {
        let output = self.run(script)?;
        expect_failure(script, &output, code, words)
    }

    /// Starts a script whose end is waited for later.
    pub fn start(&self, script: &str) -> anyhow::Result<Started> {
        Ok(self.machine.start(Run::script(script).timeout(PATIENCE))?)
    }

    /// The end of a script. It hung if its time was up.
    pub fn end(&self, started: &Started) -> anyhow::Result<Output> {
        let output = self.machine.finish(started, PATIENCE)?;
        ensure!(!output.timed_out, "it hung: {}", output.all());
        Ok(output)
    }

    /// Waits until a script succeeds.
    pub fn await_success(&self, script: &str) -> anyhow::Result<()> {
        let looped = format!("until ({script}) >/dev/null 2>&1; do sleep 0.2; done");
        self.succeed(&looped).map(drop)
    }

    /// Starts a call into a guest that lasts until it is cut, and waits until it runs there.
    /// `mark` is a number of seconds that no other call of the case sleeps for.
    pub fn lasting_call(&self, domain: &str, mark: u32) -> anyhow::Result<Started> {
        let call = self.start(&format!("bulkhead run {domain} -- sleep {mark}"))?;
        self.await_success(&format!(
            "bulkhead run {domain} -- pgrep -fx 'sleep {mark}'"
        ))?;
        Ok(call)
    }

    /// The daily commands work: a call into each domain, and a copy from one to the other.
    pub fn works(&self) -> anyhow::Result<()> {
        self.succeed(
            "bulkhead run work -- true && bulkhead run personal -- rm -f QubesIncoming/work/note && \
             echo hello | bulkhead run work -- tee note && \
             bulkhead run work -- bulkhead-copy personal note && \
             test \"$(bulkhead run personal -- cat QubesIncoming/work/note)\" = hello",
        )
        .map(drop)
    }
}

/// A command that has to fail, with a message that has all these words in it.
pub fn expect_failure(
    what: &str,
    output: &Output,
    code: i32,
    words: &[&str],
) -> anyhow::Result<()> {
    let said = output.all();
    ensure!(
        output.code == code && words.iter().all(|words| said.contains(words)),
        "expected `{what}` to end with {code} and to say {words:?}; it ended with {} and said {said}",
        output.code
    );
    Ok(())
}
