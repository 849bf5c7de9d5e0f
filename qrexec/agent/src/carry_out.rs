// SPDX-License-Identifier: GPL-3.0-or-later
//! Carrying out one call into this guest, whoever was asked: the agent or a fork server.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bulkhead_vchan::Endpoints;
use qrexec_protocol::exec::{Exec, Route};
use qrexec_protocol::version::Version;
use qrexec_relay::{Channel, Host, Order, serve};

/// How long the caller may take to open its data vchan and say hello.
const PATIENCE: Duration = Duration::from_secs(120);
/// Enough for the buffers, which lie on the heap, and everything called from a call's thread.
pub(crate) const STACK: usize = 256 * 1024;

/// A call and how it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    /// What was asked for.
    pub exec: &'a Exec,
    /// The same, read; `None` where it cannot be.
    pub order: Option<&'a Order>,
    /// What the caller is offered. One in a dom0 that knows only version 2 takes nothing else.
    pub version: Version,
}

/// Connects to the caller and serves it. `called_off` is readable once it is known that the caller
/// is not going to come. `ended` is called when the call is over, which may be before
/// the last process of the service is.
pub(crate) fn carry_out(
    endpoints: &Endpoints,
    host: &Host,
    call: Call<'_>,
    called_off: BorrowedFd<'_>,
    ended: impl FnOnce(),
) {
    let Call {
        exec,
        order,
        version,
    } = call;
    let Route { domain, port } = exec.route;
    let mut channel = match meet(endpoints, exec.route, version, called_off) {
        Ok(channel) => channel,
        Err(error) => {
            tracing::warn!("call from domain {domain} on port {port}: {error:#}");
            ended();
            return;
        }
    };
    let started = host.start_order(order, exec.mode);
    let (left_over, result) = serve(&mut channel, started);
    if let Err(error) = result {
        tracing::info!(
            "call from domain {domain} on port {port}: {:#}",
            anyhow::Error::from(error)
        );
    }
    ended();
    channel.finish();
    if let Some(mut process) = left_over {
        process.reap();
    }
}

fn meet(
    endpoints: &Endpoints,
    route: Route,
    version: Version,
    called_off: BorrowedFd<'_>,
) -> anyhow::Result<Channel> {
    let deadline = Instant::now() + PATIENCE;
    let vchan = endpoints.connect_unless(route.domain, route.port, Some(PATIENCE), called_off);
    let vchan = vchan.context("cannot connect to the caller")?;
    Channel::open_at(version, vchan, deadline).context("no handshake with the caller")
}
