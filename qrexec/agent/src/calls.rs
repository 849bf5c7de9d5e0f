// SPDX-License-Identifier: GPL-3.0-or-later
//! Calls into this guest, one thread each.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bulkhead_vchan::Endpoints;
use qrexec_protocol::exec::{Exec, Route};
use qrexec_relay::{Channel, Host, Post, serve};

/// How long the caller may take to open its data vchan and say hello.
const PATIENCE: Duration = Duration::from_secs(120);
/// Enough for the buffers, which lie on the heap, and everything called from here.
const STACK: usize = 256 * 1024;

/// A call into this guest has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
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
    pub post: Post<Ended>,
}

impl Runner {
    /// Runs a call in a thread of its own; its end is posted in any case.
    pub fn start(&self, exec: Exec, session: u64) -> io::Result<()> {
        let runner = self.clone();
        let work = move || {
            let route = exec.route;
            let ended = Ended { session, route };
            if let Err(error) = runner.run(&exec, ended) {
                tracing::warn!(
                    "call from domain {} on port {}: {error:#}",
                    route.domain,
                    route.port
                );
                runner.post.send(ended);
            }
        };
        let builder = thread::Builder::new()
            .name("call".to_owned())
            .stack_size(STACK);
        builder.spawn(work).map(drop)
    }

    fn run(&self, exec: &Exec, ended: Ended) -> anyhow::Result<()> {
        let Route { domain, port } = exec.route;
        let deadline = Instant::now() + PATIENCE;
        let vchan = self.endpoints.connect(domain, port, Some(PATIENCE));
        let vchan = vchan.context("cannot connect to the caller")?;
        let channel = Channel::open(vchan, deadline).context("no handshake with the caller")?;
        let started = self.host.start(&exec.command, exec.mode);
        let (left_over, result) = serve(channel, started);
        if let Err(error) = result {
            tracing::info!(
                "call from domain {domain} on port {port}: {:#}",
                anyhow::Error::from(error)
            );
        }
        self.post.send(ended);
        if let Some(mut process) = left_over {
            process.reap();
        }
        Ok(())
    }
}
