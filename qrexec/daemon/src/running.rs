// SPDX-License-Identifier: GPL-3.0-or-later
//! Calls under way, as the policy daemon is told of them, and which of them it wants ended.
//!
//! A thread that begins with the first such call keeps the connection, and makes a new one when
//! the policy daemon was away. Where no policy daemon of ours answers there is nothing to tell.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use bulkhead_types::DomainName;
use qrexec_protocol::exec::Route;
use qrexec_protocol::under_way::{EndCall, Notice};
use qrexec_relay::{DaemonSocket, Post};
use rustix::process::{Signal, pidfd_send_signal};

use crate::request::Letter;

/// How long to wait before the policy daemon is looked for again.
const PAUSE: Duration = Duration::from_millis(200);
/// How often it is looked whether the policy daemon has been away.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const STACK: usize = 128 * 1024;

/// How a call can be ended from here.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It has not got that far.
    Nothing,
    /// It runs between two domains, whose channel is theirs: their agents are to end it.
    Abroad {
        /// The daemon of the service's domain. It hears of it also while the caller's agent is away.
        daemon: Arc<DaemonSocket>,
        /// The call, for that daemon.
        route: Route,
        /// The call, for the session of this one.
        number: u64,
        /// To that session.
        post: Post<Letter>,
    },
    /// A process of dom0 serves it.
    Process(OwnedFd),
    /// Somebody waits for the end of this stream, and ends the call then.
    Stream(UnixStream),
}

impl Stop {
    fn pull(&self) {
        match self {
            Self::Nothing => {}
            Self::Abroad {
                daemon,
                route,
                number,
                post,
            } => {
                daemon.end_call(*route);
                post.send(Letter::End(*number));
            }
            // Either may be over by itself.
            Self::Process(process) => drop(pidfd_send_signal(process, Signal::KILL)),
            Self::Stream(stream) => drop(stream.shutdown(Shutdown::Both)),
        }
    }
}

/// A call and whether the policy daemon wants it ended.
#[derive(Debug)]
struct Known {
    stop: Stop,
    ended: Option<String>,
}

#[derive(Debug, Default)]
struct Table(Mutex<BTreeMap<u64, Known>>);

impl Table {
    fn with<R>(&self, act: impl FnOnce(&mut BTreeMap<u64, Known>) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Tells the policy daemon.
#[derive(Debug)]
pub(crate) struct Watch {
    table: Arc<Table>,
    reports: Mutex<Option<mpsc::Sender<Notice>>>,
    source: DomainName,
    socket: PathBuf,
}

impl Watch {
    pub fn new(source: DomainName, socket: PathBuf) -> Self {
        Self {
            table: Arc::default(),
            reports: Mutex::default(),
            source,
            socket,
        }
    }

    /// A call has been allowed. `None` is a call that nobody wants to hear of.
    pub fn begin(self: &Arc<Self>, call: Option<u64>) -> Running {
        if let Some(call) = call {
            self.table.with(|calls| {
                let stop = Stop::Nothing;
                calls.insert(call, Known { stop, ended: None })
            });
            self.send(Notice::Open(call));
        }
        Running {
            call,
            watch: Arc::clone(self),
        }
    }

    fn send(&self, notice: Notice) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = reports.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel();
            let (table, source, socket) =
                (self.table.clone(), self.source.clone(), self.socket.clone());
            let keep = move || keep_telling(&table, &source, &socket, &receiver);
            let thread = thread::Builder::new().name("calls".into());
            if let Err(error) = thread.stack_size(STACK).spawn(keep) {
                tracing::error!("nobody is told of calls: {error}");
            }
            sender
        });
        // Without a thread nobody listens.
        let _ = sender.send(notice);
    }
}

/// A call under way. It is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    call: Option<u64>,
    watch: Arc<Watch>,
}

impl Running {
    /// From now on the call can be ended in this way. False if it should have ended already.
    pub fn can_stop(&self, stop: Stop) -> bool {
        let Some(call) = self.call else { return true };
        self.watch.table.with(|calls| match calls.get_mut(&call) {
            Some(known) => {
                known.stop = stop;
                if known.ended.is_some() {
                    known.stop.pull();
                }
                known.ended.is_none()
            }
            None => true,
        })
    }

    /// Why the policy daemon wanted it ended, if it did.
    pub fn wanted_end(&self) -> Option<String> {
        let known = |calls: &mut BTreeMap<u64, Known>| calls.get(&self.call?)?.ended.clone();
        self.watch.table.with(known)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(call) = self.call else { return };
        self.watch.table.with(|calls| calls.remove(&call));
        self.watch.send(Notice::Done(call));
    }
}

/// The connection, and whether the other side has hung up.
type Line = (UnixStream, Arc<AtomicBool>);

fn keep_telling(
    table: &Arc<Table>,
    source: &DomainName,
    socket: &Path,
    reports: &mpsc::Receiver<Notice>,
) {
    let mut line: Option<Line> = None;
    loop {
        let report = match reports.recv_timeout(LOOK_EVERY) {
            Ok(report) => Some(report),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        };
        if line
            .as_ref()
            .is_some_and(|(_, gone)| gone.load(Ordering::Relaxed))
        {
            line = None;
        }
        let Some(report) = report else {
            // A policy daemon that comes back has to know what it may have to end.
            if line.is_none() && table.with(|calls| !calls.is_empty()) {
                line = connect(table, source, socket).ok();
            }
            continue;
        };
        let text = format!("{report}\n");
        loop {
            if line.is_none() {
                line = connect(table, source, socket).ok();
            }
            match &mut line {
                Some((stream, _)) => match stream.write_all(text.as_bytes()) {
                    Ok(()) => break,
                    Err(_) => line = None,
                },
                None => thread::sleep(PAUSE),
            }
        }
    }
}

/// Connects, says whose calls these are and which there are, and listens to what has to end.
fn connect(table: &Arc<Table>, source: &DomainName, socket: &Path) -> io::Result<Line> {
    let mut stream = UnixStream::connect(socket)?;
    let mut text = format!("{}\n", Notice::Source(source.clone()));
    let open: Vec<u64> = table.with(|calls| calls.keys().copied().collect());
    for call in open {
        text.push_str(&format!("{}\n", Notice::Open(call)));
    }
    stream.write_all(text.as_bytes())?;
    let (orders, table) = (stream.try_clone()?, table.clone());
    let gone = Arc::new(AtomicBool::new(false));
    let hung_up = gone.clone();
    let listen = move || {
        for line in BufReader::with_capacity(1024, orders).lines() {
            let Ok(Ok(end)) = line.map(|line| EndCall::parse(&line)) else {
                break;
            };
            table.with(|calls| {
                if let Some(known) = calls.get_mut(&end.call) {
                    tracing::info!("call {} has to end: {}", end.call, end.why);
                    known.ended = Some(end.why);
                    known.stop.pull();
                }
            });
        }
        hung_up.store(true, Ordering::Relaxed);
    };
    let thread = thread::Builder::new().name("orders".into());
    thread.stack_size(STACK).spawn(listen)?;
    Ok((stream, gone))
}
