// SPDX-License-Identifier: GPL-3.0-or-later
//! Prints how long a question takes, from connecting to the end of the answer, and what the
//! ledger takes of it: `cargo bench -p policyd`.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant, SystemTime};

use bulkhead_types::Layout;
use policy_ledger::{Decision, Event, Ledger, Limits, SealKey};

const QUESTIONS: usize = 5_000;

fn main() {
    println!("    rules  question p50 µs   p99 µs");
    for rules in [10, 5_000, 50_000] {
        let (p50, p99) = questions(rules);
        println!("{rules:9} {:16.1} {:8.1}", micros(p50), micros(p99));
    }
    let (per_second, p99) = records();
    println!(
        "ledger alone: {per_second:.0} records/s in batches; one alone, p99 {:.1} µs",
        micros(p99)
    );
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Ends the daemon when the run is over, however it ends.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn questions(rules: usize) -> (Duration, Duration) {
    let root = tempfile::tempdir().unwrap();
    let layout = Layout::below(root.path());
    let directory = &layout.policy_dirs()[1];
    std::fs::create_dir_all(directory).unwrap();
    std::fs::create_dir_all(layout.runtime()).unwrap();
    let mut text = String::new();
    for n in 1..rules {
        writeln!(text, "my.Service{} * work vm{n} deny", n % 100).unwrap();
    }
    text.push_str("my.Service1 * work vault allow\n");
    std::fs::write(directory.join("30-user.policy"), text).unwrap();
    let manager = UnixListener::bind(layout.internal_socket()).unwrap();
    let notify = UnixDatagram::bind(root.path().join("notify")).unwrap();
    let daemon = Command::new(env!("CARGO_BIN_EXE_policyd"))
        .env(Layout::ROOT_VARIABLE, root.path())
        .env("NOTIFY_SOCKET", root.path().join("notify"))
        .stderr(std::fs::File::create(root.path().join("log")).unwrap())
        .spawn();
    let _daemon = Daemon(daemon.unwrap());
    let (mut watch, _) = manager.accept().unwrap();
    let mut request = Vec::new();
    BufReader::new(&watch).read_until(0, &mut request).unwrap();
    watch
        .write_all(
            b"0\0{\"domains\":{\"work\":{\"type\":\"AppVM\"},\"vault\":{\"type\":\"AppVM\"}}}\n",
        )
        .unwrap();
    let (mut ready, mut domains) = (false, false);
    let mut said = [0; 512];
    while !(ready && domains) {
        let n = notify.recv(&mut said).unwrap();
        let said = String::from_utf8_lossy(&said[..n]);
        ready |= said.contains("READY=1");
        domains |= said.contains("; 2 domains");
    }
    let mut times: Vec<_> = (0..QUESTIONS)
        .map(|_| {
            let start = Instant::now();
            let mut stream = UnixStream::connect(layout.policy_socket()).unwrap();
            stream
                .write_all(b"source=work\nintended_target=vault\nservice_and_arg=my.Service1+x\n\n")
                .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.contains("result=allow"), "{answer}");
            start.elapsed()
        })
        .collect();
    times.sort();
    (times[QUESTIONS / 2], times[QUESTIONS * 99 / 100])
}

/// Records per second when they are written in batches, and how long one alone takes.
fn records() -> (f64, Duration) {
    const RECORDS: usize = 200_000;
    const BATCH: usize = 100;
    let root = tempfile::tempdir().unwrap();
    let key = SealKey::load_or_make(&root.path().join("seal.key")).unwrap();
    let mut ledger = Ledger::open(root.path(), key, Limits::default(), "boot").unwrap();
    let event = Event::Decision(Decision {
        source: "work".into(),
        requested_target: "vault".into(),
        service: "qubes.Filecopy".into(),
        verdict: "deny".into(),
        rule: Some("/etc/bulkhead/policy.d/30-user.policy:12".into()),
        reason: Some("a rule denies the call".into()),
        ..Decision::default()
    });
    let batch = vec![event.clone(); BATCH];
    let begin = Instant::now();
    for _ in 0..RECORDS / BATCH {
        ledger.append_all(&batch, SystemTime::now()).unwrap();
    }
    let total = begin.elapsed();
    let mut times: Vec<_> = (0..RECORDS)
        .map(|_| {
            let start = Instant::now();
            ledger.append(event.clone(), SystemTime::now()).unwrap();
            start.elapsed()
        })
        .collect();
    times.sort();
    (
        RECORDS as f64 / total.as_secs_f64(),
        times[RECORDS * 99 / 100],
    )
}
