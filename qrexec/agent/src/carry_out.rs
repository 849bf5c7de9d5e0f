// SPDX-License-Identifier: GPL-3.0-or-later
//! Carrying out one call into this guest, whoever was asked: the agent or a fork server.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use bulkhead_vchan::Endpoints;
use qrexec_protocol::exec::{Exec, Route};
use qrexec_protocol::version::Version;
use qrexec_relay::{Channel, Host, Lost, Order, Orders, Word, serve};

/// How long the caller may take to open its data vchan and say hello.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a service may take to end when its call has to.
const LAST_MOMENTS: Duration = Duration::from_secs(2);
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

/// Connects to the caller and serves it. `orders` tell if the caller is not going to come, and if the call
/// has to end. `ended` is called when the call is over, which may be before the last process of the
/// service is.
pub(crate) fn carry_out(
    endpoints: &Endpoints,
    host: &Host,
    call: Call<'_>,
    mut orders: Orders<'_>,
    ended: impl FnOnce(),
) {
    let Call {
        exec,
        order,
        version,
    } = call;
    let Route { domain, port } = exec.route;
    let met = meet(endpoints, exec.route, version, orders);
    let mut channel = match met {
        Ok(channel) => channel,
        Err(error) => {
            tracing::warn!("call from domain {domain} on port {port}: {error:#}");
            ended();
            return;
        }
    };
    if orders.hear() == Word::End {
        tracing::info!("call from domain {domain} on port {port}: it has to end before it began");
        drop(channel);
        ended();
        return;
    }
    let started = host.start_order(order, exec.mode);
    let (left_over, result) = serve(&mut channel, started, orders);
    let cut = result.as_ref().is_err_and(Lost::is_cut);
    if let Err(error) = result {
        tracing::info!(
            "call from domain {domain} on port {port}: {:#}",
            anyhow::Error::from(error)
        );
    }
    if cut {
        // Nothing passes any more, whatever the service still does.
        drop(channel);
        ended();
        if let Some(mut process) = left_over {
            process.end(LAST_MOMENTS);
        }
        return;
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
    orders: Orders<'_>,
) -> anyhow::Result<Channel> {
    let deadline = Instant::now() + PATIENCE;
    let vchan = match orders.fd() {
        Some(fd) => endpoints.connect_unless(route.domain, route.port, Some(PATIENCE), fd),
        None => endpoints.connect(route.domain, route.port, Some(PATIENCE)),
    };
    let vchan = vchan.context("cannot connect to the caller")?;
    Channel::open_at(version, vchan, deadline).context("no handshake with the caller")
}
