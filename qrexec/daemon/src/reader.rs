// SPDX-License-Identifier: GPL-3.0-or-later
//! The confined process that reads the guest ([`crate::guest_reader`]), as the daemon holds it.

use std::io;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use bulkhead_confinement::{SessionProcess, Start};
use bulkhead_vchan::Endpoints;
use qrexec_relay::{Interest, wait_for_any};

use crate::Domain;
use crate::guest_reader::{NAME, read_on_thread};
use crate::line::{Line, LineError, Word};

/// How long a process may take to end when it has said so, or was told: the agent may finish its
/// sentence.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A process for one session, which ends at the latest with this value.
#[derive(Debug)]
pub(crate) struct Reader {
    /// None where a thread of the daemon does it.
    process: Option<SessionProcess>,
    /// What it says, and the way to the agent.
    pub line: Line,
}

/// What came of waiting for the agent.
#[derive(Debug)]
pub(crate) enum Met {
    /// It is there, and its reader is confined.
    Agent,
    /// It did not come in time.
    Nobody,
    /// The process, which ended so, or the thread cannot do its work, and has said why.
    Failure(Option<ExitStatus>),
}

impl Reader {
    /// Starts this program again, with its own `arguments`, to wait for the agent.
    pub fn start(arguments: &[String]) -> io::Result<Self> {
        let (process, line) = SessionProcess::start(Start {
            name: NAME,
            arguments,
            environment: &[],
            output: None,
        })?;
        let line = Line::new(line)?;
        let process = Some(process);
        Ok(Self { process, line })
    }

    /// Waits for the agent on a thread, which is not confined: see [`read_on_thread`].
    pub fn on_thread(domain: &Domain, endpoints: &Endpoints) -> io::Result<Self> {
        let line = Line::new(read_on_thread(domain.clone(), endpoints.clone())?)?;
        Ok(Self {
            process: None,
            line,
        })
    }

    /// The same where a test plays the process.
    #[cfg(test)]
    pub fn played(line: Line) -> Self {
        Self {
            process: None,
            line,
        }
    }

    /// Waits until the agent is there.
    pub fn meet(&mut self, patience: Option<Duration>) -> io::Result<Met> {
        let deadline = patience.map(|patience| Instant::now() + patience);
        loop {
            match self.line.receive() {
                Ok(Some(Word::Met)) => return Ok(Met::Agent),
                Ok(None) => {}
                Ok(Some(_)) | Err(LineError::Ended | LineError::Nonsense(_)) => {
                    return self.end().map(Met::Failure);
                }
                Err(LineError::System(error)) => return Err(error),
            }
            if deadline.is_some_and(|end| Instant::now() >= end) {
                return Ok(Met::Nobody);
            }
            wait_for_any(&[(self.line.fd(), Interest::Readable)], deadline)?;
        }
    }

    /// Lets the process close the agent's channel, and sees to it that it is gone.
    pub fn finish(mut self) {
        self.line.close();
        if let Err(error) = self.end() {
            tracing::error!("cannot end the process that read the guest: {error}");
        }
    }

    fn end(&mut self) -> io::Result<Option<ExitStatus>> {
        let process = self.process.as_mut();
        process.map(|process| process.end(LAST_WORDS)).transpose()
    }
}
