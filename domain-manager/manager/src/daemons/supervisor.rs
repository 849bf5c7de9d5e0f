// SPDX-License-Identifier: GPL-3.0-or-later
//! Keeps one daemon alive until told to end it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Launch;
use super::readiness::Readiness;

/// Deaths within [`WINDOW`] after which a daemon is given up.
const DEATHS_MAX: usize = 8;
const WINDOW: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a daemon may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a daemon is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs and has not said that it is ready; or it is about to be restarted.
    Starting,
    /// It said that it is ready.
    Ready,
    /// It cannot be started, or dies again and again. It is not tried any more.
    GivenUp(String),
}

/// A daemon under supervision.
#[derive(Debug)]
pub struct Supervised {
    title: String,
    state: watch::Receiver<State>,
    end: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Starts a daemon and keeps it running. `died` is called each time it ends unasked.
pub fn supervise(launch: Launch, died: impl Fn() + 'static) -> Supervised {
    let (state_sender, state) = watch::channel(State::Starting);
    let (end, end_receiver) = watch::channel(false);
    let title = launch.title.clone();
    let task = tokio::task::spawn_local(keep(launch, state_sender, end_receiver, died));
    Supervised {
        title,
        state,
        end,
        task,
    }
}

impl Supervised {
    /// How it is doing; can be waited on.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Ends the daemon and waits until it is gone.
    pub async fn stop(self) {
        // The task may have given up already.
        let _ = self.end.send(true);
        if let Err(error) = self.task.await {
            tracing::error!("the supervision of {} broke off: {error}", self.title);
        }
    }
}

async fn keep(
    launch: Launch,
    state: watch::Sender<State>,
    mut end: watch::Receiver<bool>,
    died: impl Fn(),
) {
    let mut deaths: Vec<Instant> = Vec::new();
    let mut pause = FIRST_PAUSE;
    let reason = loop {
        let begun = Instant::now();
        let status = match run_once(&launch, &state, &mut end).await {
            Ok(Some(status)) => status,
            Ok(None) => return,
            Err(error) => break format!("cannot start {}: {error}", launch.program.display()),
        };
        state.send_replace(State::Starting);
        tracing::warn!("{} ended: {status}", launch.title);
        died();
        deaths.retain(|death| death.elapsed() < WINDOW);
        deaths.push(Instant::now());
        if deaths.len() >= DEATHS_MAX {
            break format!(
                "it ended {DEATHS_MAX} times within {} s, lastly with {status}",
                WINDOW.as_secs()
            );
        }
        if begun.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = end.wait_for(|end| *end) => return,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    };
    tracing::error!(
        "{} is given up: {reason}; its log is {}",
        launch.title,
        launch.log.display()
    );
    state.send_replace(State::GivenUp(reason));
}

/// Runs the daemon once. `None` when it was ended on demand.
async fn run_once(
    launch: &Launch,
    state: &watch::Sender<State>,
    end: &mut watch::Receiver<bool>,
) -> io::Result<Option<std::process::ExitStatus>> {
    let readiness = Readiness::listen(&launch.notify)?;
    let mut child = spawn(launch)?;
    let mut ready = false;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(Some(status?)),
            () = readiness.ready(), if !ready => {
                ready = true;
                state.send_replace(State::Ready);
            }
            _ = end.wait_for(|end| *end) => {
                finish(&mut child, launch).await;
                return Ok(None);
            }
        }
    }
}

fn spawn(launch: &Launch) -> io::Result<Child> {
    let log = open_log(launch)?;
    let mut command = Command::new(&launch.program);
    command
        .args(&launch.arguments)
        .envs(launch.environment.iter().map(|(name, value)| (name, value)))
        .env("NOTIFY_SOCKET", &launch.notify)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true);
    command.spawn()
}

fn open_log(launch: &Launch) -> io::Result<File> {
    if let Some(parent) = launch.log.parent() {
        fs::create_dir_all(parent)?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&launch.log)
}

async fn finish(child: &mut Child, launch: &Launch) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // It may have ended by itself just now.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
        tracing::warn!(
            "{} did not end within {} s and is killed",
            launch.title,
            PATIENCE.as_secs()
        );
        if let Err(error) = child.kill().await {
            tracing::error!("cannot kill {}: {error}", launch.title);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::path::Path;
    use std::rc::Rc;

    fn launch(dir: &Path, script: &str) -> Launch {
        Launch {
            title: "tester".into(),
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![],
            log: dir.join("logs/tester.log"),
            notify: dir.join("notify"),
        }
    }

    fn in_loop(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, test);
    }

    #[test]
    fn a_daemon_that_dies_is_restarted_until_it_is_given_up() {
        in_loop(async {
            let dir = tempfile::tempdir().unwrap();
            tokio::time::pause();
            let deaths = Rc::new(Cell::new(0));
            let counted = deaths.clone();
            let daemon = supervise(launch(dir.path(), "echo alive; exit 3"), move || {
                counted.set(counted.get() + 1)
            });
            let mut state = daemon.state();
            let last = state
                .wait_for(|s| matches!(s, State::GivenUp(_)))
                .await
                .unwrap()
                .clone();
            insta::assert_debug_snapshot!(last, @r#"
            GivenUp(
                "it ended 8 times within 60 s, lastly with exit status: 3",
            )
            "#);
            assert_eq!(deaths.get(), 8);
            daemon.stop().await;
            let log = std::fs::read_to_string(dir.path().join("logs/tester.log")).unwrap();
            assert_eq!(log.lines().count(), 8);
        });
    }

    #[test]
    fn a_daemon_is_ready_when_it_says_so_and_ends_when_asked() {
        in_loop(async {
            let dir = tempfile::tempdir().unwrap();
            let script = r#"python3 -c "
import os,socket
s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)
s.sendto(b'STATUS=nearly',os.environ['NOTIFY_SOCKET'])
s.sendto(b'STATUS=up\nREADY=1',os.environ['NOTIFY_SOCKET'])
"; exec sleep 60"#;
            let daemon = supervise(launch(dir.path(), script), || panic!("it did not die"));
            daemon
                .state()
                .wait_for(|s| *s == State::Ready)
                .await
                .unwrap();
            daemon.stop().await;
            assert!(!dir.path().join("notify").exists());
        });
    }

    #[test]
    fn a_program_that_is_not_there_is_given_up_at_once() {
        in_loop(async {
            let dir = tempfile::tempdir().unwrap();
            let missing = Launch {
                program: "/nowhere/qrexec-daemon".into(),
                ..launch(dir.path(), "")
            };
            let daemon = supervise(missing, || ());
            let last = daemon
                .state()
                .wait_for(|s| *s != State::Starting)
                .await
                .unwrap()
                .clone();
            insta::assert_debug_snapshot!(last, @r#"
            GivenUp(
                "cannot start /nowhere/qrexec-daemon: No such file or directory (os error 2)",
            )
            "#);
        });
    }
}
