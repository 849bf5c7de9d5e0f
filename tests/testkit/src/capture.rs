// SPDX-License-Identifier: GPL-3.0-or-later
//! A command whose output is taken and which does not run for ever.

use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "look at the exit code or the output"]
pub struct Captured {
    /// The exit code; 128 and the signal's number when a signal ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it complained about.
    pub stderr: Vec<u8>,
}

impl Captured {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

#[derive(Debug, Default)]
struct SoFar {
    bytes: Vec<u8>,
    ended: bool,
}

/// A command that runs. Dropped unfinished, it is killed with its whole process group.
#[derive(Debug)]
pub struct Running {
    line: String,
    group: Pid,
    deadline: Instant,
    limit: Duration,
    end: mpsc::Receiver<io::Result<i32>>,
    streams: Option<[JoinHandle<()>; 2]>,
    printed: [Arc<Printed>; 2],
}

/// What a command has written to one of its outputs so far.
#[derive(Debug, Default)]
struct Printed {
    so_far: Mutex<SoFar>,
    changed: Condvar,
}

impl Running {
    /// Starts a command that reads `input` and may take as long as `limit`.
    pub fn start(mut command: Command, input: Vec<u8>, limit: Duration) -> anyhow::Result<Self> {
        let line = format!("{command:?}");
        let mut child = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {line}"))?;
        let group = Pid::from_raw(child.id().cast_signed());
        if let Some(mut stdin) = child.stdin.take() {
            // A command may end without reading everything.
            thread::spawn(move || drop(stdin.write_all(&input)));
        }
        let printed: [Arc<Printed>; 2] = Default::default();
        let streams = [
            drain(child.stdout.take(), &printed[0]),
            drain(child.stderr.take(), &printed[1]),
        ];
        let (tell, end) = mpsc::channel();
        thread::spawn(move || drop(tell.send(wait(child))));
        let deadline = Instant::now() + limit;
        Ok(Self {
            line,
            group,
            deadline,
            limit,
            end,
            streams: Some(streams),
            printed,
        })
    }

    /// Waits until its standard output holds `text`.
    pub fn prints(&self, text: &str) -> anyhow::Result<()> {
        let mut so_far = self.printed[0].lock();
        loop {
            if String::from_utf8_lossy(&so_far.bytes).contains(text) {
                return Ok(());
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || so_far.ended {
                let printed = String::from_utf8_lossy(&so_far.bytes).into_owned();
                drop(so_far);
                let complaints = self.printed[1].take();
                let complaints = String::from_utf8_lossy(&complaints);
                bail!(
                    "{} did not print {text:?} but {printed:?}\n{complaints}",
                    self.line
                );
            }
            let waited = self.printed[0].changed.wait_timeout(so_far, left);
            so_far = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Kills it as `kill -9` would.
    pub fn kill(&self) {
        let _ = killpg(self.group, Signal::SIGKILL);
    }

    /// Waits for its end. An error when it takes longer than it may.
    pub fn finish(mut self) -> anyhow::Result<Captured> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let code = match self.end.recv_timeout(left) {
            Ok(code) => code?,
            Err(_) => {
                self.kill();
                let complaints = self.collect()[1].clone();
                let complaints = String::from_utf8_lossy(&complaints);
                bail!(
                    "{} did not end within {:?}\n{complaints}",
                    self.line,
                    self.limit
                );
            }
        };
        let [stdout, stderr] = self.collect();
        Ok(Captured {
            code,
            stdout,
            stderr,
        })
    }

    fn collect(&mut self) -> [Vec<u8>; 2] {
        for stream in self.streams.take().into_iter().flatten() {
            // What was read before a panic of the reader is still worth showing.
            let _ = stream.join();
        }
        [self.printed[0].take(), self.printed[1].take()]
    }
}

impl Printed {
    fn lock(&self) -> MutexGuard<'_, SoFar> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().bytes)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.streams.is_some() {
            self.kill();
        }
    }
}

fn wait(mut child: Child) -> io::Result<i32> {
    let status = child.wait()?;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(code.unwrap_or(-1))
}

fn drain(stream: Option<impl Read + Send + 'static>, into: &Arc<Printed>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        if let Some(mut stream) = stream {
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                into.lock().bytes.extend_from_slice(&buffer[..length]);
                into.changed.notify_all();
            }
        }
        into.lock().ended = true;
        into.changed.notify_all();
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_command_gets_its_input_and_gives_output_and_code() {
        let limit = Duration::from_secs(30);
        let script = "cat; echo no >&2; exit 3";
        let captured = Running::start(shell(script), b"yes".to_vec(), limit).unwrap();
        let captured = captured.finish().unwrap();
        assert_eq!((captured.code, captured.text()), (3, "yes".into()));
        assert_eq!(captured.complaint(), "no\n");
    }

    #[test]
    fn a_command_that_hangs_is_an_error_with_its_last_words() {
        let limit = Duration::from_millis(50);
        let script = "echo waiting >&2; sleep 1000 & wait";
        let error = Running::start(shell(script), Vec::new(), limit)
            .unwrap()
            .finish()
            .unwrap_err();
        assert!(
            error.to_string().contains("did not end within 50ms\n"),
            "{error}"
        );
    }
}
