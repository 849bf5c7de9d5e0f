// SPDX-License-Identifier: GPL-3.0-or-later
//! Where the time of a call goes, for the log and for the ledger.
//!
//! The policy daemon keeps the ledger; it is told when a call is over, by one thread for all calls of
//! this daemon. A policy daemon that does not keep up loses such reports, and never a call.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use bulkhead_types::DomainName;
use qrexec_protocol::report::Report;

use crate::running::{Running, Stop};

/// Reports that may wait.
const WAITING_MAX: usize = 1024;
/// How long the policy daemon may take for one.
const PATIENCE: Duration = Duration::from_secs(5);
const STACK: usize = 64 * 1024;

/// Takes reports for the policy daemon.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    source: DomainName,
    reports: SyncSender<Report>,
}

impl Reporter {
    /// Starts the thread that passes reports on the calls of `source` on to the policy daemon at
    /// `socket`.
    pub fn start(source: DomainName, socket: PathBuf) -> std::io::Result<Self> {
        let (reports, waiting) = sync_channel(WAITING_MAX);
        let builder = thread::Builder::new()
            .name("reports".to_owned())
            .stack_size(STACK);
        builder.spawn(move || pass_on(&waiting, &socket))?;
        Ok(Self { source, reports })
    }
}

fn pass_on(reports: &Receiver<Report>, socket: &PathBuf) {
    for report in reports {
        let told = UnixStream::connect(socket).and_then(|mut stream| {
            stream.set_write_timeout(Some(PATIENCE))?;
            stream.write_all(&report.encode())
        });
        if let Err(error) = told {
            tracing::warn!("the end of call {} is not recorded: {error}", report.record);
        }
    }
}

/// The stages of one call that was allowed. Its end is told when this is dropped at the latest.
#[derive(Debug)]
pub(crate) struct Trace {
    /// What the log calls it.
    call: String,
    begun: Instant,
    report: Report,
    numbered: bool,
    reporter: Reporter,
    running: Running,
    told: bool,
}

/// Which domains have not said that a call is over that had to end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Silent {
    Both,
    Caller,
    Service,
}

impl Silent {
    fn who(self) -> &'static str {
        match self {
            Self::Both => "either domain",
            Self::Caller => "the caller's domain",
            Self::Service => "the service's domain",
        }
    }
}

impl Trace {
    /// The trace of `call`, which came at `begun` and has just been allowed under the number `record`.
    pub fn allowed(
        call: String,
        begun: Instant,
        record: Option<u64>,
        reporter: Reporter,
        running: Running,
    ) -> Self {
        let report = Report {
            policy: begun.elapsed(),
            ..Report::begun(record.unwrap_or(0), reporter.source.clone())
        };
        Self {
            call,
            begun,
            report,
            numbered: record.is_some(),
            reporter,
            running,
            told: false,
        }
    }

    /// The service's place has taken the call.
    pub fn started(&mut self) {
        self.report.start = Some(self.begun.elapsed());
    }

    /// Caller and service have met.
    pub fn connected(&mut self) {
        self.report.connect = Some(self.begun.elapsed());
    }

    /// The service has said something at this moment.
    pub fn first_byte(&mut self, at: Option<Instant>) {
        self.report.first_byte = at.map(|at| at.saturating_duration_since(self.begun));
    }

    /// So many bytes went to the service and came back.
    pub fn moved(&mut self, sent: u64, received: u64) {
        self.report.sent = Some(sent);
        self.report.received = Some(received);
    }

    /// From now on policy can end the call in this way. False if it should have ended already.
    pub fn can_stop(&self, stop: Stop) -> bool {
        self.running.can_stop(stop)
    }

    /// The call is over.
    pub fn end(mut self, how: impl Into<String>) {
        self.tell(how.into());
    }

    /// The call had to end, and not everybody has said that it has.
    pub fn end_unconfirmed(mut self, silent: Silent) {
        let (call, who) = (&self.call, silent.who());
        tracing::warn!(
            "{call}: it has to end, and {who} has not said that it has; killing one of the two ends it"
        );
        let why = self.running.wanted_end().unwrap_or_default();
        self.record(format!("{why}; not confirmed by {who}"));
    }

    fn tell(&mut self, how: String) {
        // What policy ended, ended for that reason.
        let how = self.running.wanted_end().unwrap_or(how);
        self.record(how);
    }

    fn record(&mut self, how: String) {
        self.told = true;
        self.report.end = self.begun.elapsed();
        self.report.how = how;
        let Report {
            policy,
            start,
            connect,
            first_byte,
            end,
            how,
            ..
        } = &self.report;
        let stages = [
            ("start", start),
            ("connect", connect),
            ("first byte", first_byte),
        ];
        let stages: String = stages
            .into_iter()
            .filter_map(|(name, time)| Some(format!(", {name} {:?}", (*time)?)))
            .collect();
        tracing::info!(
            "{}: {how}; policy {policy:?}{stages}, end {end:?}",
            self.call
        );
        let report = self.report.clone();
        if self.numbered && self.reporter.reports.try_send(report).is_err() {
            let record = self.report.record;
            tracing::warn!("the end of call {record} is not recorded: too many wait");
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if !self.told {
            self.tell("cut off".to_owned());
        }
    }
}
