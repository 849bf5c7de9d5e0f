// SPDX-License-Identifier: GPL-3.0-or-later
//! Makes calls from a guest one after the other, for the tests, without a process for each.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bulkhead_vchan::Endpoints;
use qrexec_client::agent_socket::{Answer, ask};
use qrexec_client::{announce, meet};
use qrexec_protocol::exit;
use qrexec_protocol::trigger::{RequestId, UntrustedTrigger};
use qrexec_relay::{Local, Orders, Sink, call};

const AGENT: &str = "/var/run/qubes/qrexec-agent";
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    testkit::outcome(run())
}

/// Prints for each exit code how many calls ended with it: `0:97 1:3`.
fn run() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, service, times] = &arguments[..] else {
        bail!("usage: repeated-calls TARGET SERVICE TIMES")
    };
    let times: u32 = times.parse().context("TIMES is a number")?;
    let endpoints = Endpoints::from_environment().context("cannot reach other domains")?;
    let mut codes = BTreeMap::<i32, u32>::new();
    for time in 0..times {
        let code = once(&endpoints, target, service)
            .with_context(|| format!("call {time} of {service} in {target}"))?;
        *codes.entry(code).or_default() += 1;
    }
    let told: Vec<_> = codes
        .iter()
        .map(|(code, n)| format!("{code}:{n}"))
        .collect();
    println!("{}", told.join(" "));
    Ok(())
}

fn once(endpoints: &Endpoints, target: &str, service: &str) -> anyhow::Result<i32> {
    let ident = RequestId::parse(b"SOCKET\0").context("the request's id cannot be one")?;
    let trigger = UntrustedTrigger::new("", target, &ident, service);
    let (agent, connection) = match ask(Path::new(AGENT), &trigger)? {
        Answer::Allowed(agent, connection) => (agent, connection),
        Answer::Refused => return Ok(exit::REFUSED),
        Answer::Busy => bail!("too many calls are under way"),
    };
    let vchan = announce(endpoints, connection.route.domain, connection.route.port)?;
    let orders = Orders::Stream(agent.as_fd());
    let channel = meet(connection.version, vchan, orders, Some(PATIENCE))?;
    let local = Local {
        input: None,
        back: None,
        prefix: Vec::new(),
        output: Sink::nothing(),
        errors: Sink::nothing(),
        process: None,
    };
    Ok(call(channel, local, orders)?.remote)
}
