// SPDX-License-Identifier: GPL-3.0-or-later
//! What dom0 holds of Xen's: xenstore's nodes and event channels. Pages of a guest that are still
//! mapped keep its domain in Xen's list, where the case of the leftovers would see it.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};

use crate::dom0::Dom0;

/// Made with the first domain, and there from then on; what is in them is counted.
const FOLDERS: &[&str] = &[
    "/libxl",
    "/vm",
    "/local/domain/0/data",
    "/local/domain/0/data/vchan",
];

/// What was there at one moment.
pub struct Holdings {
    nodes: BTreeSet<String>,
    channels: usize,
}

impl Holdings {
    /// Looks.
    pub fn count(dom0: &Dom0<'_>) -> anyhow::Result<Self> {
        let nodes = dom0.succeed("xenstore-ls -f | sed 's/ = .*//'")?;
        let nodes = nodes.lines().filter(|node| !FOLDERS.contains(node));
        Ok(Self {
            nodes: nodes.map(str::to_owned).collect(),
            channels: channels(dom0)?,
        })
    }

    /// Compares with an earlier moment at which no domain was running either.
    pub fn same_as(&self, before: &Self) -> anyhow::Result<()> {
        let grown: Vec<_> = self.nodes.difference(&before.nodes).collect();
        ensure!(grown.is_empty(), "nodes of xenstore that stayed: {grown:?}");
        ensure!(
            self.channels <= before.channels,
            "dom0 has {} event channels with others, {} before",
            self.channels,
            before.channels
        );
        Ok(())
    }
}

/// Dom0's event channels that lead to another domain or wait for one, as Xen itself lists them
/// (states 2 and 3 of `ECS_*` in Xen's `sched.h`).
fn channels(dom0: &Dom0<'_>) -> anyhow::Result<usize> {
    let said = dom0.succeed("xl dmesg -c >/dev/null; xl debug-keys e; sleep 1; xl dmesg")?;
    let (_, own) = said
        .split_once("information for domain 0:")
        .with_context(|| format!("Xen lists no event channels: {said}"))?;
    let own = own.split("information for domain").next().unwrap_or(own);
    let lines = own.lines().filter(|line| line.contains("]: s="));
    Ok(lines
        .filter(|line| line.contains("s=2 ") || line.contains("s=3 "))
        .count())
}
