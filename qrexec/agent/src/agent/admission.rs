// SPDX-License-Identifier: GPL-3.0-or-later
//! Local programs that come to the agent's socket: who is let in, and whose request goes to the daemon.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use qrexec_protocol::agent_link::terminated;
use qrexec_protocol::limits::{CONTROL_RING, HEADER_LEN};
use qrexec_protocol::trigger::{RequestId, UntrustedTrigger};

use super::{Agent, CALLERS_MAX, Daemon, LINE_MAX};
use crate::callers::{Caller, Heard};

/// How many of them may still be speaking; then the one that has been for the longest time has to go.
const ASKING_MAX: usize = 512;
/// How long nobody is let in after somebody could not be.
const REST: Duration = Duration::from_millis(200);

impl Agent {
    pub(super) fn admit(&mut self, daemon: &mut Daemon) {
        while self.callers.len() < CALLERS_MAX && daemon.queued() < LINE_MAX {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if let Ok(caller) = Caller::new(stream, Instant::now()) {
                        self.next_number += 1;
                        self.callers.insert(self.next_number, caller);
                        self.keep_few_asking(daemon);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::error!("cannot take a caller: {error}");
                    self.rests_until = Some(Instant::now() + REST);
                    return;
                }
            }
        }
    }

    /// Lets go of whoever has been speaking for the longest time, where too many are.
    fn keep_few_asking(&mut self, daemon: &mut Daemon) {
        let asking = || self.callers.iter().filter(|(_, caller)| caller.asking());
        if asking().count() <= ASKING_MAX {
            return;
        }
        // Numbers are in the order in which they came.
        let Some(first) = asking().next().map(|(number, _)| *number) else {
            return;
        };
        // It may have said all by now.
        self.hear(first, daemon);
        if self.callers.get(&first).is_some_and(Caller::asking) {
            self.callers.remove(&first);
        }
    }

    pub(super) fn hear(&mut self, number: u64, daemon: &mut Daemon) {
        let Some(caller) = self.callers.get_mut(&number) else {
            return;
        };
        match caller.hear() {
            Heard::Nothing => {}
            Heard::Gone(route) => {
                self.callers.remove(&number);
                if let Some(route) = route {
                    daemon.queue(&terminated(route));
                }
            }
            Heard::Request(trigger) => {
                let ident = RequestId::numbered(number);
                match request(*trigger, &ident, daemon) {
                    Ok(()) => caller.wait_for(ident),
                    Err(reason) => {
                        tracing::warn!("a call was refused in the guest: {reason}");
                        self.callers.remove(&number);
                    }
                }
            }
        }
    }
}

/// Passes a request on, in the form that the daemon understands.
fn request(
    mut trigger: UntrustedTrigger,
    ident: &RequestId,
    daemon: &mut Daemon,
) -> Result<(), String> {
    let version = daemon.version().ok_or("no daemon is there")?;
    trigger.set_ident(ident);
    let frame = trigger.encode(version).map_err(|error| error.to_string())?;
    // Daemons other than ours take a message from the ring in one piece or not at all.
    if frame.len() - HEADER_LEN > CONTROL_RING {
        return Err(format!(
            "the request for {} does not fit the control channel",
            trigger.shown_service()
        ));
    }
    daemon.queue(&frame);
    Ok(())
}
