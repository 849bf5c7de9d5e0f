// SPDX-License-Identifier: GPL-3.0-or-later
//! Many calls at one time.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use qrexec_relay::{Interest, Running, wait_for_any};

use crate::figures::ratio;
use crate::site::Site;

/// A call that has not ended after this counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// A kind of call and its client.
type Kind = (&'static str, fn(&Site) -> Command);

const KINDS: [Kind; 2] = [
    ("dom0 to guest", |site| site.dom0_calls("bench.True")),
    ("guest to guest", |site| {
        site.guest_calls("personal", "bench.True")
    }),
];

pub fn print(sites: &[Site]) {
    println!("  calls at one time{:25}calls/s   failed     lost", "");
    for (name, client) in KINDS {
        for width in [1, 16, 128, 1000] {
            let mut rates = Vec::new();
            for site in sites {
                let crowd = crowd(|| client(site), width, width.max(500));
                rates.push(crowd.rate);
                let Crowd { rate, failed, lost } = crowd;
                println!(
                    "  {name:20} {width:5} {:9} {rate:13.0} {failed:8} {lost:8}",
                    site.name
                );
            }
            if sites.len() > 1 {
                println!("  {name:20} {width:5} {}", ratio(&rates));
            }
        }
    }
}

/// As many calls at one time as are promised, from guest to guest. Returns how many came to nothing, which
/// none of ours may.
pub fn make(site: &Site) -> usize {
    let (_, client) = KINDS[1];
    let made = crowd(|| client(site), 1000, 1000);
    let nothing = made.failed + made.lost;
    assert!(nothing == 0 || site.name == "reference", "{}", site.logs());
    nothing
}

struct Crowd {
    rate: f64,
    failed: usize,
    lost: usize,
}

/// Makes `all` calls, `width` of them at one time.
fn crowd(client: impl Fn() -> Command, width: usize, all: usize) -> Crowd {
    let mut running: Vec<(Running, Instant)> = Vec::new();
    let (mut started, mut failed, mut lost) = (0, 0, 0);
    let begun = Instant::now();
    while started < all || !running.is_empty() {
        while started < all && running.len() < width {
            let mut command = client();
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            running.push((
                Running::start(&mut command).unwrap(),
                Instant::now() + PATIENCE,
            ));
            started += 1;
        }
        let entries: Vec<_> = running
            .iter()
            .map(|(process, _)| (process.fd(), Interest::Readable))
            .collect();
        let first = running.iter().map(|(_, end)| *end).min();
        let seen = wait_for_any(&entries, first).unwrap();
        let now = Instant::now();
        let mut seen = seen.iter();
        running.retain_mut(|(process, end)| {
            if seen.next().is_some_and(|ready| ready.readable) {
                failed += usize::from(process.ended() != Some(0));
                return false;
            }
            if *end <= now {
                process.kill();
                lost += 1;
                return false;
            }
            true
        });
    }
    let rate = (all - failed - lost) as f64 / begun.elapsed().as_secs_f64();
    Crowd { rate, failed, lost }
}
