// SPDX-License-Identifier: GPL-3.0-or-later
//! How many bytes a second go through a call.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::figures::{median, ratio};
use crate::site::{STREAM, Site};

const ROUNDS: usize = 5;

/// A kind of stream: its name, the client, whether it gets the stream as its input, and what is promised.
type Kind = (&'static str, fn(&Site) -> Command, bool, &'static str);

const KINDS: [Kind; 6] = [
    (
        "dom0 to guest, input",
        |site| site.dom0_calls("bench.Take"),
        true,
        "2000",
    ),
    (
        "guest to dom0, output",
        |site| site.dom0_calls("bench.Give"),
        false,
        "2000",
    ),
    (
        "guest to guest, input",
        |site| site.guest_calls("personal", "bench.Take"),
        true,
        "2000",
    ),
    (
        "guest to guest, output",
        |site| site.guest_calls("personal", "bench.Give"),
        false,
        "2000",
    ),
    (
        "dom0 and guest, echo through cat",
        |site| site.dom0_calls("bench.Cat"),
        true,
        "",
    ),
    (
        "guest and guest, echo through cat",
        |site| site.guest_calls("personal", "bench.Cat"),
        true,
        "",
    ),
];

pub fn print(sites: &[Site]) {
    println!("  stream, MB/s{:35}median    worst     best  promised", "");
    for (name, client, input, promise) in KINDS {
        let mut speeds: Vec<Vec<f64>> = sites.iter().map(|_| Vec::new()).collect();
        for _ in 0..ROUNDS {
            for (site, speeds) in sites.iter().zip(&mut speeds) {
                speeds.push(stream(site, client(site), input));
            }
        }
        let medians: Vec<f64> = speeds.iter().cloned().map(median).collect();
        for ((site, speeds), median) in sites.iter().zip(&speeds).zip(&medians) {
            let worst = speeds.iter().copied().fold(f64::INFINITY, f64::min);
            let best = speeds.iter().copied().fold(0.0, f64::max);
            let promise = if site.name == "ours" { promise } else { "" };
            println!(
                "  {name:35} {:9} {median:8.0} {worst:8.0} {best:8.0}  {promise}",
                site.name
            );
        }
        if sites.len() > 1 {
            println!("  {name:35} {}", ratio(&medians));
        }
    }
}

fn stream(site: &Site, mut client: Command, input: bool) -> f64 {
    let source = if input { "zeros" } else { "/dev/null" };
    client
        .stdin(File::open(site.path("").join(source)).unwrap())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let begun = Instant::now();
    assert!(client.status().unwrap().success(), "{client:?}");
    STREAM as f64 / begun.elapsed().as_secs_f64() / 1e6
}
