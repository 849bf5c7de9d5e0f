// SPDX-License-Identifier: GPL-3.0-or-later
//! What is held of Xen's: xenstore's nodes and dom0's watches, event channels, and granted pages.

use std::collections::BTreeSet;
use std::fmt;

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
    /// Of programs in dom0.
    watches: usize,
    /// Dom0's, to other domains.
    channels: usize,
    /// Pages of dom0 that others have mapped, and of guests that other guests have.
    grants: usize,
    /// Pages of guests that programs in dom0 have mapped, in pieces.
    mappings: usize,
}

impl Holdings {
    /// Looks.
    pub fn count(dom0: &Dom0<'_>) -> anyhow::Result<Self> {
        let nodes = dom0.succeed("xenstore-ls -f | sed 's/ = .*//'")?;
        let nodes = nodes.lines().filter(|node| !FOLDERS.contains(node));
        Ok(Self {
            nodes: nodes.map(str::to_owned).collect(),
            watches: watches(dom0)?,
            channels: channels(dom0)?,
            grants: grants(dom0)?,
            mappings: mappings(dom0)?,
        })
    }

    /// Compares with an earlier moment at which the same domains were running.
    pub fn same_as(&self, before: &Self) -> anyhow::Result<()> {
        let grown: Vec<_> = self.nodes.difference(&before.nodes).collect();
        ensure!(grown.is_empty(), "nodes of xenstore that stayed: {grown:?}");
        let kinds = [
            ("watches in dom0", self.watches, before.watches),
            ("event channels of dom0", self.channels, before.channels),
            ("granted pages", self.grants, before.grants),
            ("mappings in dom0", self.mappings, before.mappings),
        ];
        for (kind, now, before) in kinds {
            ensure!(now <= before, "{now} {kind}, {before} before");
        }
        Ok(())
    }
}

impl Holdings {
    /// Whether more of everything that a call from dom0 takes is there than before. Its node in
    /// xenstore goes when the two have met.
    pub fn more_of_each(&self, before: &Self) -> bool {
        self.watches > before.watches
            && self.channels > before.channels
            && self.grants > before.grants
            && self.mappings > before.mappings
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            nodes,
            watches,
            channels,
            grants,
            mappings,
        } = self;
        let nodes = nodes.len();
        write!(
            f,
            "{nodes} nodes, {watches} watches, {channels} event channels, {grants} granted pages, \
             {mappings} mappings"
        )
    }
}

/// Xenstore's own count of what programs in dom0 watch.
fn watches(dom0: &Dom0<'_>) -> anyhow::Result<usize> {
    let quota = dom0.succeed("xenstore-control quota 0")?;
    let mut lines = quota.lines().filter_map(|line| line.split_once(':'));
    let line = lines.find(|(kind, _)| kind.trim() == "watches");
    let count = line.and_then(|(_, count)| count.split_whitespace().next()?.parse().ok());
    count.with_context(|| format!("xenstore does not count watches: {quota}"))
}

/// Has Xen print one of its tables.
fn table(dom0: &Dom0<'_>, key: char) -> anyhow::Result<String> {
    dom0.succeed(&format!(
        "xl dmesg -c >/dev/null; xl debug-keys {key}; sleep 1; xl dmesg"
    ))
}

/// Dom0's event channels that lead to another domain or wait for one, as Xen itself lists them
/// (states 2 and 3 of `ECS_*` in Xen's `sched.h`).
fn channels(dom0: &Dom0<'_>) -> anyhow::Result<usize> {
    let said = table(dom0, 'e')?;
    let (_, own) = said
        .split_once("information for domain 0:")
        .with_context(|| format!("Xen lists no event channels: {said}"))?;
    let own = own.split("information for domain").next().unwrap_or(own);
    let lines = own.lines().filter(|line| line.contains("]: s="));
    Ok(lines
        .filter(|line| line.contains("s=2 ") || line.contains("s=3 "))
        .count())
}

/// Pages that are granted and mapped, but for those of a guest's disk, which dom0's kernel keeps mapped
/// as long as it likes.
fn grants(dom0: &Dom0<'_>) -> anyhow::Result<usize> {
    let said = table(dom0, 'g')?;
    let mut owner = None;
    let mut count = 0;
    for line in said.lines() {
        if let Some((_, of)) = line.split_once("grant-table for remote d") {
            owner = of.split_whitespace().next().map(str::to_owned);
        }
        let entry = line
            .split_once("[0x")
            .and_then(|(_, rest)| rest.split_once(']'));
        if let Some((_, entry)) = entry {
            let owner = owner.as_deref();
            let owner = owner.with_context(|| format!("a page of nobody: {said}"))?;
            let user = entry.split_whitespace().next();
            count += usize::from(owner == "0" || user != Some("0"));
        }
    }
    ensure!(owner.is_some(), "Xen lists no grants: {said}");
    Ok(count)
}

/// Mappings of pages that domains have granted, over all programs of dom0.
fn mappings(dom0: &Dom0<'_>) -> anyhow::Result<usize> {
    let maps = dom0.succeed("cat /proc/[0-9]*/maps 2>/dev/null | grep -c /dev/xen/gnt || true")?;
    maps.trim().parse().context("a count of mappings")
}
