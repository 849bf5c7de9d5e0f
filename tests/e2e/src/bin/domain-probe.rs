// SPDX-License-Identifier: GPL-3.0-or-later
//! Waits, for the tests, until a domain and its volumes are gone.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bulkhead_types::Layout;
use e2e::await_absence;

fn main() -> ExitCode {
    testkit::outcome(run())
}

fn run() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [word, name, seconds] = &arguments[..] else {
        bail!("usage: domain-probe gone DOMAIN SECONDS")
    };
    if word != "gone" {
        bail!("the only thing to wait for is `gone`, not `{word}`");
    }
    let root = std::env::var_os(Layout::ROOT_VARIABLE).unwrap_or_else(|| "/".into());
    let limit = Duration::from_secs(seconds.parse().context("SECONDS is a number")?);
    await_absence(&Layout::below(root), &name.parse()?, limit)
}
