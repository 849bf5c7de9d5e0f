// SPDX-License-Identifier: GPL-3.0-or-later
//! Running commands in a guest through nothing but xenstore.
//!
//! dom0 writes `data/orders/N`, the guest runs it with a shell and writes `data/answers/N`: the
//! exit code, a line end, and what the command printed.

use std::collections::BTreeSet;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use bulkhead_types::DomId;
use bulkhead_xen::store::{Refusal, Store, Tx, XenStore, domain_path};

/// How long a command may take before `tell` gives up.
const PATIENCE: Duration = Duration::from_secs(240);
/// What fits into a node.
const ANSWER_MAX: usize = 1800;

/// Carries out orders for ever.
pub fn obey() -> anyhow::Result<()> {
    let mut store = XenStore::open()?;
    store.watch("data/orders")?;
    let mut done = BTreeSet::new();
    loop {
        store.next_event(None)?;
        let orders = match store.list(Tx::NONE, "data/orders") {
            Ok(orders) => orders,
            Err(error) if error.is(&Refusal::NotFound) => continue,
            Err(error) => return Err(error.into()),
        };
        for number in orders {
            if !done.insert(number.clone()) {
                continue;
            }
            let order = store.read_text(Tx::NONE, &format!("data/orders/{number}"))?;
            if let Some(order) = order {
                thread::spawn(move || answer(&number, &order));
            }
        }
    }
}

fn answer(number: &str, order: &str) -> anyhow::Result<()> {
    let output = Command::new("/bin/sh").args(["-c", order]).output()?;
    let code = output.status.code().unwrap_or(255);
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said += &String::from_utf8_lossy(&output.stderr);
    said.truncate(said.floor_char_boundary(ANSWER_MAX));
    let mut store = XenStore::open()?;
    Ok(store.write(
        Tx::NONE,
        &format!("data/answers/{number}"),
        format!("{code}\n{said}").as_bytes(),
    )?)
}

/// Waits until a node is there.
pub fn expect(node: &str) -> anyhow::Result<()> {
    let mut store = XenStore::open()?;
    store.watch(node)?;
    loop {
        ensure!(
            store.next_event(Some(PATIENCE))?.is_some(),
            "{node} does not appear"
        );
        if store.read_text(Tx::NONE, node)?.is_some() {
            return Ok(());
        }
    }
}

/// Has a guest run a command; prints what it printed, and gives its exit code.
pub fn tell(domain: DomId, command: &str) -> anyhow::Result<i32> {
    let mut store = XenStore::open()?;
    let home = domain_path(domain);
    // Two at once differ in their process, two after another in their time.
    let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let number = format!("{}-{time}", std::process::id());
    let order = format!("{home}/data/orders/{number}");
    let answer = format!("{home}/data/answers/{number}");
    store.watch(&answer)?;
    store.watch("@releaseDomain")?;
    store.write(Tx::NONE, &order, command.as_bytes())?;
    loop {
        ensure!(
            store.next_event(Some(PATIENCE))?.is_some(),
            "no answer in time"
        );
        if let Some(text) = store.read_text(Tx::NONE, &answer)? {
            let (code, said) = text.split_once('\n').context("an answer without a code")?;
            print!("{said}");
            store.rm(Tx::NONE, &order)?;
            store.rm(Tx::NONE, &answer)?;
            return Ok(code.parse()?);
        }
        ensure!(store.is_introduced(domain)?, "the guest is gone");
    }
}
