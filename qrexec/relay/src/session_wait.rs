// SPDX-License-Identifier: GPL-3.0-or-later
//! Waiting until a user's session is there, for services that need a display.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bulkhead_types::Service;
use qrexec_protocol::command::Action;

use crate::lookup::Found;
use crate::order::Order;
use crate::pam_session::Streams;
use crate::start::{Host, null};

/// The runs of `qubes.WaitForSession`.
#[derive(Debug, Default)]
pub(crate) struct SessionRuns {
    /// Held by the one that runs.
    turn: Mutex<()>,
    /// How many there were.
    done: AtomicU64,
}

impl Host {
    /// Runs `qubes.WaitForSession` to its end; whoever asks meanwhile waits for that same run.
    /// Whatever it says, the call goes on: a service that needs a display fails by itself.
    pub fn wait_for_session(&self, order: &Order) {
        let user = order.user();
        let source = match &order.line.action {
            Action::Service(call) => call.source.as_str(),
            Action::Shell(_) => "",
        };
        let asked = self.session_runs.done.load(Ordering::Acquire);
        let _turn = self
            .session_runs
            .turn
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if self.session_runs.done.load(Ordering::Acquire) != asked {
            return;
        }
        let waited = || -> io::Result<()> {
            let service = Service::parse("qubes.WaitForSession+").map_err(io::Error::other)?;
            let Found::Program(path) = self.services.find(&service).map_err(io::Error::other)?
            else {
                return Err(io::Error::other("there is no program qubes.WaitForSession"));
            };
            let mut command = self.identity.command(user, &path)?;
            self.environment(&mut command, None);
            command.env("QREXEC_REMOTE_DOMAIN", source);
            let (input, mut ours) = io::pipe()?;
            let streams = Streams {
                input: input.into(),
                output: null()?,
                errors: io::stderr().as_fd().try_clone_to_owned()?,
            };
            let mut running = self.run_with(&mut command, streams)?;
            // It may end without having read its input.
            let _ = writeln!(ours, "{user}");
            drop(ours);
            running.reap();
            Ok(())
        };
        let result = waited();
        self.session_runs.done.fetch_add(1, Ordering::Release);
        if let Err(error) = result {
            tracing::warn!(
                "cannot wait for the session of {}: {error}",
                user.escape_debug()
            );
        }
    }
}
