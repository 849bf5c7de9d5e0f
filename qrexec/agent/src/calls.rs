// SPDX-License-Identifier: GPL-3.0-or-later
//! Calls into this guest, each in a thread.

use std::io;
use std::sync::Arc;

use bulkhead_vchan::Endpoints;
use qrexec_protocol::exec::{Exec, Route};
use qrexec_protocol::version::Version;
use qrexec_relay::{CallingOff, Host, Orders, Pool, Post};

use crate::carry_out::{Call, carry_out};
use crate::session::{Handed, Sessions};

/// A call into this guest has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// The number that it was started under.
    pub number: u64,
    /// The daemon's session in which it began.
    pub session: u64,
    /// Its data vchan.
    pub route: Route,
}

/// What a call needs.
#[derive(Clone, Debug)]
pub(crate) struct Runner {
    pub endpoints: Arc<Endpoints>,
    pub host: Arc<Host>,
    pub sessions: Option<Sessions>,
    pub post: Post<Ended>,
    pub pool: Pool,
}

impl Runner {
    /// Runs a call in a thread; its end is posted in any case. By what is returned it is told that its
    /// caller is not going to come, or that it has to end.
    /// `version` is offered to the caller.
    pub fn start(
        &self,
        exec: Exec,
        version: Version,
        session: u64,
        number: u64,
    ) -> io::Result<CallingOff> {
        let (runner, calling_off) = (self.clone(), CallingOff::new()?);
        let called_off = calling_off.clone();
        let work = move || {
            let ended = Ended {
                number,
                session,
                route: exec.route,
            };
            runner.run(&exec, version, ended, &called_off);
        };
        self.pool.run(work)?;
        Ok(calling_off)
    }

    fn run(&self, exec: &Exec, version: Version, ended: Ended, called_off: &CallingOff) {
        let order = self.host.read(&exec.command);
        if let Some(order) = &order {
            let session = || -> Option<Handed> {
                let sessions = self.sessions.as_ref().filter(|_| order.suits_session())?;
                sessions.hand_over(exec, order.user())
            };
            let mut handed = session();
            if handed.is_none() && order.needs_session() {
                self.host.wait_for_session(order);
                handed = session();
            }
            if let Some(handed) = handed {
                handed.outlast(called_off);
                self.post.send(ended);
                return;
            }
        }
        let call = Call {
            exec,
            order: order.as_ref(),
            version,
        };
        let orders = Orders::Thread(called_off);
        carry_out(&self.endpoints, &self.host, call, orders, || {
            self.post.send(ended);
        });
    }
}
