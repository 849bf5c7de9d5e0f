// SPDX-License-Identifier: GPL-3.0-or-later
//! How long one call takes.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bulkhead_types::{DomId, Port};
use qrexec_client::{announce, meet};
use qrexec_protocol::exec::{Exec, Mode, Route};
use qrexec_protocol::trigger::{RequestId, UntrustedTrigger};
use qrexec_protocol::version::Version;
use qrexec_relay::{DaemonSocket, Local, Orders, Sink, call};

use crate::figures::Times;
use crate::site::{FORBIDDEN, Site, WORK};

const PATIENCE: Duration = Duration::from_secs(10);
/// Calls in a row at one site before it is another's turn.
const TURN: usize = 25;

/// A kind of call: its name, how to make one and see whether it ended as it has to, and what is promised.
type Kind = (&'static str, fn(&Site) -> bool, &'static str);

const KINDS: [Kind; 11] = [
    (
        "spawn of /bin/true alone",
        |_| run(Command::new("/bin/true").env_remove("LD_LIBRARY_PATH"), 0),
        "",
    ),
    (
        "dom0 to guest",
        |site| run(&mut site.dom0_calls("bench.True"), 0),
        "1600",
    ),
    (
        "guest to dom0",
        |site| run(&mut site.guest_calls("dom0", "bench.True"), 0),
        "1600",
    ),
    (
        "guest to guest",
        |site| run(&mut site.guest_calls("personal", "bench.True"), 0),
        "1600",
    ),
    (
        "guest to guest, refused",
        |site| run(&mut site.guest_calls(FORBIDDEN, "bench.True"), 126),
        "",
    ),
    (
        "dom0 to guest, no such service",
        |site| run(&mut site.dom0_calls("bench.None"), 127),
        "",
    ),
    (
        "guest to guest, no such service",
        |site| run(&mut site.guest_calls("personal", "bench.None"), 127),
        "",
    ),
    (
        "dom0 to guest, socket service",
        |site| run(&mut site.dom0_calls("bench.Socket"), 0),
        "",
    ),
    (
        "guest to guest, socket service",
        |site| run(&mut site.guest_calls("personal", "bench.Socket"), 0),
        "",
    ),
    (
        "running client in dom0, socket service",
        running_in_dom0,
        "150",
    ),
    (
        "running client in a guest, socket service",
        running_in_guest,
        "150",
    ),
];

/// How often each call is made.
pub fn calls() -> usize {
    let asked = std::env::var("BULKHEAD_BENCH_CALLS");
    asked.ok().and_then(|n| n.parse().ok()).unwrap_or(500)
}

pub fn print(sites: &[Site]) {
    println!("  whole call, µs{:38}p50     p95     p99  p50 promised", "");
    let only = std::env::var("BULKHEAD_BENCH_ONLY").unwrap_or_default();
    for (name, make, promise) in KINDS.into_iter().filter(|kind| kind.0.contains(&only)) {
        let mut times: Vec<Times> = sites.iter().map(|_| Times::default()).collect();
        let mut failed = 0;
        for site in sites {
            make(site);
        }
        for _ in 0..calls().div_ceil(TURN) {
            for (site, times) in sites.iter().zip(&mut times) {
                for _ in 0..TURN {
                    let begun = Instant::now();
                    if make(site) {
                        times.add(begun.elapsed());
                    } else {
                        // The simulator's own library loses a call now and then.
                        assert_ne!(site.name, "ours", "{name} failed");
                        failed += 1;
                    }
                }
            }
        }
        let figures: Vec<[f64; 3]> = times
            .iter_mut()
            .map(|times| [0.5, 0.95, 0.99].map(|share| times.percentile(share)))
            .collect();
        for (site, [p50, p95, p99]) in sites.iter().zip(&figures) {
            let promise = if site.name == "ours" { promise } else { "" };
            println!(
                "  {name:41} {:9} {p50:7.0} {p95:7.0} {p99:7.0}  {promise}",
                site.name
            );
        }
        if let [ours, theirs] = &figures[..] {
            let ratios: Vec<String> = ours
                .iter()
                .zip(theirs)
                .map(|(ours, theirs)| format!("{:5.2} ×", theirs / ours))
                .collect();
            println!("  {name:41} {:9} {}", "", ratios.join(" "));
        }
        if failed > 0 {
            println!("  {name:41} {failed} calls of the reference failed");
        }
    }
}

/// From the start of a client's process to its end.
pub fn run(command: &mut Command, code: i32) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.stderr(Stdio::null()).status().unwrap();
    status.code() == Some(code)
}

fn running_in_dom0(site: &Site) -> bool {
    let path = site.path("sockets").join("qrexec.personal");
    let mut daemon = DaemonSocket::connect(&path).unwrap();
    let route = Route {
        domain: DomId::DOM0,
        port: Port(0),
    };
    let command = format!("{}:QUBESRPC bench.Socket dom0", site.user()).into_bytes();
    let exec = Exec {
        mode: Mode::Attached,
        route,
        command,
    };
    let route = daemon.exec(&exec, PATIENCE).unwrap();
    relay(site, 0, route)
}

fn running_in_guest(site: &Site) -> bool {
    let mut agent = UnixStream::connect(site.agent_socket(WORK)).unwrap();
    let trigger = UntrustedTrigger::new("", "personal", &RequestId::numbered(0), "bench.Socket");
    agent
        .write_all(&trigger.encode(Version::V4).unwrap())
        .unwrap();
    let mut answer = [0; 8];
    agent.read_exact(&mut answer).unwrap();
    relay(site, WORK, Route::decode(&answer).unwrap())
}

fn relay(site: &Site, own: u32, route: Route) -> bool {
    let vchan = announce(&site.endpoints(own), route.domain, route.port).unwrap();
    let Ok(channel) = meet(Version::OWN, vchan, Orders::None, Some(PATIENCE)) else {
        return false;
    };
    let local = Local {
        input: None,
        back: None,
        prefix: Vec::new(),
        output: Sink::nothing(),
        errors: Sink::nothing(),
        process: None,
    };
    call(channel, local, Orders::None).is_ok_and(|codes| codes.remote == 0)
}
