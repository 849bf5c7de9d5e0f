// SPDX-License-Identifier: GPL-3.0-or-later
//! What cannot be done is said, with the way out, and leaves nothing.

use anyhow::ensure;

use crate::dom0::{Dom0, expect_failure};
use crate::report::Report;

pub const CASES: &[&str] = &[
    "limits::names, labels and templates that do not fit are named",
    "limits::a domain that needs more memory than there is does not start",
    "limits::a full pool takes no half of a domain",
    "limits::a pool that cannot share blocks is refused with a way out",
];

/// How often the pool is filled up.
const FILLINGS: usize = 5;

pub fn play(report: &mut Report, dom0: &Dom0<'_>) {
    let [words, memory, full, no_reflink] = CASES else {
        return;
    };
    report.case(words, || names(dom0));
    report.case(memory, || out_of_memory(dom0));
    report.case(full, || full_pool(dom0));
    report.case(no_reflink, || no_shared_blocks(dom0));
}

fn names(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    let create = "bulkhead create --label blue --template";
    let taken = ["already a domain `work`"];
    dom0.fails(&format!("{create} debian-13-minimal work"), 1, &taken)?;
    let nowhere = ["`nowhere`"];
    dom0.fails(&format!("{create} nowhere new"), 1, &nowhere)?;
    let colour = "bulkhead create --label blurple new --template debian-13-minimal";
    dom0.fails(colour, 2, &["blurple", "blue"])?;
    absent(dom0, "new")
}

fn out_of_memory(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    dom0.succeed(
        "bulkhead create huge --template debian-13-minimal --label red --set memory=60000",
    )?;
    let words = [
        "60000 MiB of `huge`",
        "MiB are free",
        "bulkhead domain set huge memory",
    ];
    let refused = dom0.fails("bulkhead start huge", 1, &words);
    let left = dom0.succeed("xl list | grep -E 'huge|null' || true")?;
    dom0.succeed("bulkhead remove huge")?;
    refused?;
    ensure!(left.is_empty(), "of huge stays: {left}");
    absent(dom0, "huge")
}

fn full_pool(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    // Large pieces first; the last ones are single blocks.
    let fill = "cd /var/lib/bulkhead && mkdir -p fill && for size in 64M 1M 4k; do i=0; \
        while fallocate -l $size fill/$size-$i 2>/dev/null; do i=$((i+1)); done; done; \
        i=0; while head -c 4096 /dev/zero >fill/rest-$i 2>/dev/null; do i=$((i+1)); done; true";
    let create = "bulkhead create full --template debian-13-minimal --label red";
    let mut refused = Ok(());
    // XFS gives back late what was removed before: then there was room after all.
    for _ in 0..FILLINGS {
        dom0.succeed(fill)?;
        let output = dom0.run(create)?;
        refused = expect_failure(create, &output, 1, &["full", "pool"]);
        if output.code != 0 {
            break;
        }
        dom0.succeed("bulkhead remove full")?;
    }
    let others = dom0.succeed("bulkhead run work -- true");
    dom0.succeed("rm -r /var/lib/bulkhead/fill")?;
    refused?;
    others?;
    absent(dom0, "full")?;
    dom0.succeed(&format!("{create} && bulkhead remove full"))?;
    absent(dom0, "full")
}

fn no_shared_blocks(dom0: &Dom0<'_>) -> anyhow::Result<()> {
    // A second installation, on a file system in memory. It ends before it touches Xen.
    let root = "mkdir -p /tmp/other/etc/bulkhead && \
        cp /etc/bulkhead/bulkhead.toml /tmp/other/etc/bulkhead/ && \
        BULKHEAD_ROOT=/tmp/other bulkheadd";
    let words = ["tmpfs", "cannot share blocks", "hint:", "mkfs.xfs"];
    let refused = dom0.fails(root, 1, &words);
    dom0.succeed("rm -r /tmp/other")?;
    refused
}

/// Nothing knows a domain of that name.
fn absent(dom0: &Dom0<'_>, name: &str) -> anyhow::Result<()> {
    let left = dom0.succeed(&format!(
        "(bulkhead ls; ls -A /var/lib/bulkhead/pool) | grep -wi {name} || true"
    ))?;
    ensure!(left.is_empty(), "of {name} stays: {left}");
    Ok(())
}
