// SPDX-License-Identifier: GPL-3.0-or-later
//! Telling the policy daemon of a call that dom0 makes, for its ledger.
//!
//! Nothing here is waited for and nothing here fails a call: dom0 is administered while the policy daemon is
//! away, does not listen, or cannot write.

use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use bulkhead_types::DomainName;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use qrexec_protocol::own_call::OwnCall;
use qrexec_protocol::report::Report;
use qrexec_relay::Traffic;

/// A call of dom0 and where its time went.
#[derive(Debug)]
pub struct Record {
    /// None where nobody listens.
    line: Option<UnixStream>,
    begun: Instant,
    report: Report,
}

impl Record {
    /// A call that is about to be made. `socket` is where the policy daemon is told.
    pub fn begin(path: &Path, call: &OwnCall) -> Self {
        let begun = Instant::now();
        let say = || -> io::Result<UnixStream> {
            let mut line = at_once(path)?;
            line.write_all(format!("{call}\n").as_bytes())?;
            Ok(line)
        };
        Self {
            line: say().ok(),
            begun,
            // Only the policy daemon knows the number.
            report: Report::begun(0, DomainName::dom0()),
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

    /// What has passed through the channel of the call.
    pub fn moved(&mut self, traffic: Traffic) {
        self.report.sent = Some(traffic.sent);
        self.report.received = Some(traffic.received);
        let answered = traffic.first_answer;
        self.report.first_byte = answered.map(|at| at.saturating_duration_since(self.begun));
    }

    /// The call is over.
    pub fn end(mut self, how: String) {
        (self.report.end, self.report.how) = (self.begun.elapsed(), how);
        if let Some(line) = &mut self.line {
            // What the policy daemon does not take now, it does without.
            let _ = line.write_all(&self.report.encode());
        }
    }
}

/// A connection that is there at once, to which nothing is written that would have to wait.
fn at_once(path: &Path) -> io::Result<UnixStream> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(UnixStream::from(socket))
}
