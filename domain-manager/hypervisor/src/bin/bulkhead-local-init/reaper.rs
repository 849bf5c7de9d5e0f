// SPDX-License-Identifier: GPL-3.0-or-later
//! Collects processes that ended: our children, and all that lost their parent.

use std::sync::mpsc::Sender;
use std::thread::{self, Thread};

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};

use crate::Event;

/// A thread that waits for processes to end.
pub struct Reaper(Thread);

impl Reaper {
    /// Starts collecting; each end becomes an event.
    pub fn start(events: Sender<Event>) -> Self {
        let worker = thread::spawn(move || {
            loop {
                let event = match waitpid(None, None) {
                    Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) => {
                        Event::Ended(pid)
                    }
                    Ok(_) | Err(Errno::EINTR) => continue,
                    Err(_) => Event::NoneLeft,
                };
                let nobody = matches!(event, Event::NoneLeft);
                if events.send(event).is_err() {
                    return;
                }
                if nobody {
                    thread::park();
                }
            }
        });
        Self(worker.thread().clone())
    }

    /// There may be processes again.
    pub fn look_again(&self) {
        self.0.unpark();
    }
}
