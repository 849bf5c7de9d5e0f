// SPDX-License-Identifier: GPL-3.0-or-later
//! How long the Admin API takes to answer at 500 domains, on a machine made of files.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a bench that cannot run must stop; it needs a part of what the tests need"
)]

#[path = "../tests/it/fake.rs"]
mod fake;
#[path = "../tests/it/fixture.rs"]
mod fixture;

use std::time::{Duration, Instant};

use bulkhead_admin::{Destination, Request};

use fixture::Fixture;

const DOMAINS: usize = 500;
const CALLS: usize = 400;
const CLIENTS: usize = 8;

fn main() {
    // The fixture starts this program again as the manager and as qrexec daemons.
    let arguments: Vec<String> = std::env::args().collect();
    let plays = |part: &str| arguments.iter().any(|argument| argument == part);
    if plays("manager_process") {
        fixture::serve();
    } else if plays("qrexec_daemon_process") {
        fake::qrexec_daemon();
    } else {
        measure();
    }
}

fn measure() {
    let fixture = Fixture::new();
    fixture.create("TemplateVM", "debian");
    for number in 1..DOMAINS {
        fixture.create("AppVM+debian", &format!("app-{number}"));
    }
    let admin = fixture.layout().admin_socket();
    let internal = fixture.layout().internal_socket();
    let rows = [
        ("vm.List", &admin, "admin.vm.List", "dom0", ""),
        (
            "property.Get",
            &admin,
            "admin.vm.property.Get+memory",
            "app-7",
            "",
        ),
        (
            "property.GetAll",
            &admin,
            "admin.vm.property.GetAll",
            "app-7",
            "",
        ),
        (
            "property.Set, durable",
            &admin,
            "admin.vm.property.Set+vcpus",
            "app-7",
            "3",
        ),
        (
            "list with fields",
            &admin,
            "bulkhead.domain.List",
            "dom0",
            "",
        ),
        (
            "system info, kept",
            &internal,
            "internal.GetSystemInfo",
            "dom0",
            "",
        ),
    ];
    for (title, socket, method, domain, payload) in rows {
        let request = request(method, domain, payload);
        print(
            title,
            (0..CALLS)
                .map(|_| timed(|| fixture.exchange(socket, &request)))
                .collect(),
        );
    }
    let changed = (0..CALLS).map(|number| {
        let vcpus = (number % 4 + 1).to_string();
        fixture.ok("admin.vm.property.Set+vcpus", "app-9", &vcpus);
        timed(|| fixture.exchange(&internal, &request("internal.GetSystemInfo", "dom0", "")))
    });
    print("system info after a change", changed.collect());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let request = request("admin.vm.property.Get+memory", "app-7", "");
                (0..CALLS * 5).for_each(|_| assert!(fixture.exchange(&admin, &request).is_some()));
            });
        }
    });
    let rate = (CLIENTS * CALLS * 5) as f64 / begun.elapsed().as_secs_f64();
    println!("property.Get, {CLIENTS} clients: {rate:.0} calls/s");
}

fn request(method: &str, domain: &str, payload: &str) -> Request {
    let destination = Destination::Name(domain.parse().unwrap());
    Request::from_dom0(
        method.parse().unwrap(),
        destination,
        payload.as_bytes().to_vec(),
    )
}

fn timed(call: impl FnOnce() -> Option<Vec<u8>>) -> Duration {
    let begun = Instant::now();
    assert!(call().is_some());
    begun.elapsed()
}

fn print(title: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[times.len() * share / 100];
    println!("{title:28} p50 {:>9.1?}  p99 {:>9.1?}", at(50), at(99));
}
