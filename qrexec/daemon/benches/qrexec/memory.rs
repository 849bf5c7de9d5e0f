// SPDX-License-Identifier: GPL-3.0-or-later
//! What the processes of dom0 that serve one domain's calls hold in memory.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::crowd;
use crate::site::Site;

/// Until then what was kept for further calls has been given up.
const REST: Duration = Duration::from_secs(4);

pub fn print(sites: &[Site]) {
    println!(
        "  memory of dom0's processes of one domain, KiB{:10}own   shared",
        ""
    );
    for site in sites {
        let held = |when: &str| {
            for (name, own, shared) in site.daemons().into_iter().filter_map(held) {
                println!("  {name:20} {when:24} {:9} {own:6} {shared:8}", site.name);
            }
        };
        held("at first");
        let failed = crowd::make(site);
        held("after 1000 calls at once");
        if failed > 0 {
            println!("  of these calls {failed} failed");
        }
        thread::sleep(REST);
        held("at rest again");
    }
}

/// A process's name, what nobody else has mapped, and its share of what others have too.
fn held(pid: u32) -> Option<(String, u64, u64)> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    let maps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let sum = |fields: &[&str]| -> u64 {
        let lines = maps.lines().filter_map(|line| line.split_once(':'));
        let wanted = lines.filter(|(name, _)| fields.contains(name));
        wanted
            .filter_map(|(_, size)| size.split_whitespace().next()?.parse::<u64>().ok())
            .sum()
    };
    let own = sum(&["Private_Clean", "Private_Dirty"]);
    Some((
        name.trim().to_owned(),
        own,
        sum(&["Pss"]).saturating_sub(own),
    ))
}
