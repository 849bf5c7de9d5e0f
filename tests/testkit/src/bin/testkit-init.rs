// SPDX-License-Identifier: GPL-3.0-or-later
//! The first process of a fixture: starts what it is told to, takes in processes that lost
//! their parent, and ends all of them when its standard input ends.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use testkit::Processes;
use testkit::wire::{News, Start};

fn main() -> ExitCode {
    testkit::outcome(run())
}

fn run() -> anyhow::Result<()> {
    set_child_subreaper(true).context("cannot take in orphans")?;
    // A child that never ends by itself, so that waiting for children never finds none.
    let mut anchor = Command::new("sleep")
        .arg("infinity")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start `sleep`")?;
    let anchor_id = anchor.id().cast_signed();
    say(&News::Started(anchor_id));
    // Held while a program is started: a child that could not become the program has to be
    // waited for by whoever made it.
    let starting = Arc::new(Mutex::new(()));
    let starts = Arc::clone(&starting);
    let (over, end) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            match line
                .map_err(anyhow::Error::from)
                .and_then(|line| Ok(serde_json::from_str(&line)?))
            {
                Ok(start) => {
                    let _alone = starts.lock();
                    say(&begin(&start));
                }
                Err(error) => say(&News::Failed(format!("not an order: {error}"))),
            }
        }
        let _ = over.send(());
        // Wakes the waiting below.
        let _ = anchor.kill();
    });
    let mut ending = false;
    loop {
        ending = ending || end.try_recv().is_ok();
        if ending {
            for process in Processes::read().below(std::process::id().cast_signed()) {
                let _ = kill(Pid::from_raw(process.id), Signal::SIGKILL);
            }
        }
        // Only looks; then waits for the start of a program to be over before it collects.
        let _ = waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        let _alone = starting.lock();
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => say(&News::Ended(pid.as_raw(), code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) => {
                ending |= pid.as_raw() == anchor_id;
                say(&News::Ended(pid.as_raw(), 128 + signal as i32));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => return Ok(()),
            Err(errno) => return Err(errno).context("cannot wait for children"),
        }
    }
}

fn begin(start: &Start) -> News {
    let spawn = || -> anyhow::Result<i32> {
        let (program, arguments) = start.argv.split_first().context("no program is named")?;
        let log = File::options().create(true).append(true).open(&start.log)?;
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(start.environment.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        Ok(child.id().cast_signed())
    };
    match spawn() {
        Ok(id) => News::Started(id),
        Err(error) => News::Failed(format!("{error:#}")),
    }
}

fn say(news: &News) {
    let mut output = io::stdout().lock();
    // A fixture that no longer listens is about to end this.
    if let Ok(line) = serde_json::to_string(news) {
        let _ = writeln!(output, "{line}").and_then(|()| output.flush());
    }
}
