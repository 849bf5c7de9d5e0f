// SPDX-License-Identifier: GPL-3.0-or-later
//! The first process of a local guest.
//!
//! Starts the guest's services when it is told to run, starts them again when they end, and
//! collects every process that lost its parent. It is told what to do on its standard input
//! and answers on its standard output; when the input ends, so does the guest.
#![forbid(unsafe_code)]

mod reaper;
mod services;

use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use bulkhead_hypervisor::local_guest::Order;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use reaper::Reaper;
use services::Services;

/// How long the guest's processes have to end by themselves.
const GRACE: Duration = Duration::from_secs(3);

/// What wakes the first process.
enum Event {
    Order(Order),
    SupervisorGone,
    Ended(Pid),
    NoneLeft,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: first process of the guest: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let (sender, events) = channel();
    let orders = sender.clone();
    thread::spawn(move || read_orders(&orders));
    let reaper = Reaper::start(sender);
    let mut services = Services::new();
    let mut deadline = None;
    answer("ready")?;
    loop {
        let now = Instant::now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Ok(());
        }
        if services.start_due(now) {
            reaper.look_again();
        }
        let event = match deadline.or(services.next_due()) {
            Some(due) => events.recv_timeout(due.saturating_duration_since(now)).ok(),
            None => events.recv().ok(),
        };
        match event {
            None | Some(Event::NoneLeft) if deadline.is_none() => {}
            None => {}
            Some(Event::NoneLeft | Event::SupervisorGone | Event::Order(Order::Destroy)) => {
                return Ok(());
            }
            Some(Event::Ended(process)) => services.ended(process, Instant::now()),
            Some(Event::Order(order)) => {
                obey(order, &mut services);
                if order == Order::Shutdown {
                    deadline = Some(Instant::now() + GRACE);
                    // There may have been nobody to ask.
                    reaper.look_again();
                }
                answer(order.word())?;
            }
        }
    }
}

fn obey(order: Order, services: &mut Services) {
    match order {
        Order::Run => {
            services.wanted(Instant::now());
            everybody(Signal::SIGCONT);
        }
        Order::Pause => {
            services.unwanted();
            everybody(Signal::SIGSTOP);
        }
        Order::Shutdown => {
            services.unwanted();
            everybody(Signal::SIGTERM);
            everybody(Signal::SIGCONT);
        }
        Order::Destroy => {}
    }
}

/// Sends a signal to every process of the guest but this one, in one stroke.
fn everybody(signal: Signal) {
    // There may be nobody.
    let _ = kill(Pid::from_raw(-1), signal);
}

fn answer(word: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{word}")?;
    out.flush()
}

fn read_orders(events: &Sender<Event>) {
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        if let Some(order) = Order::parse(&line) {
            let _ = events.send(Event::Order(order));
        }
    }
    let _ = events.send(Event::SupervisorGone);
}
