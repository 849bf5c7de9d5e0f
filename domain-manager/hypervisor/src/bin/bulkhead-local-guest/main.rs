// SPDX-License-Identifier: GPL-3.0-or-later
//! The supervisor of one local guest: `bulkhead-local-guest FOLDER LOG COMMAND…`.
//!
//! Runs the guest, holds the lock in its folder while it lives, keeps its console log small and
//! carries out the manager's orders. It belongs to the guest, not to the manager: it stays
//! when the manager goes, and the guest ends when it ends.
//!
//! What comes out of the guest is not trusted: answers are cut to a line, and none is waited
//! for without a limit.
#![forbid(unsafe_code)]

mod console;
mod guest;
mod orders;

use std::env;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};

use bulkhead_hypervisor::GuestState;
use bulkhead_hypervisor::local_guest::{GuestFolder, Order};

use guest::Guest;

/// What wakes the supervisor.
enum Event {
    /// The guest's first process said something.
    Said(String),
    /// The manager wants something and waits for the answer.
    Ordered(Order, UnixStream),
    /// Nothing of the guest runs any more.
    Ended,
}

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let (Some(folder), Some(log)) = (arguments.next(), arguments.next()) else {
        eprintln!("error: usage: bulkhead-local-guest FOLDER LOG COMMAND…");
        return ExitCode::from(2);
    };
    let folder = GuestFolder::new(PathBuf::from(folder));
    let command: Vec<_> = arguments.collect();
    match supervise(&folder, log.as_ref(), &command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The manager waits for one line.
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn supervise(folder: &GuestFolder, log: &Path, command: &[std::ffi::OsString]) -> io::Result<()> {
    let _alive = folder.hold_lock()?;
    let (sender, events) = channel();
    orders::listen(folder, sender.clone())?;
    let mut guest = Guest::start(command, log, sender)?;
    if !guest.answers("ready", &events) {
        guest.kill();
        guest.wait_for_end(&events);
        return Err(io::Error::other(
            "the guest's first process did not come up",
        ));
    }
    writeln!(io::stdout(), "ready")?;
    serve(folder, &mut guest, &events)
}

fn serve(folder: &GuestFolder, guest: &mut Guest, events: &Receiver<Event>) -> io::Result<()> {
    loop {
        match events.recv() {
            Ok(Event::Ordered(order, manager)) => {
                let done = carry_out(order, folder, guest, events);
                // A manager that has gone away wants no answer.
                let _ = orders::answer(manager, done);
                if order == Order::Destroy || guest.has_ended() {
                    return Ok(());
                }
            }
            // Late, or not asked for.
            Ok(Event::Said(_)) => {}
            Ok(Event::Ended) | Err(_) => return Ok(()),
        }
    }
}

fn carry_out(
    order: Order,
    folder: &GuestFolder,
    guest: &mut Guest,
    events: &Receiver<Event>,
) -> Result<(), &'static str> {
    let (before, after) = match order {
        Order::Run => (None, Some(GuestState::Running)),
        Order::Pause => (None, Some(GuestState::Paused)),
        Order::Shutdown | Order::Destroy => (Some(GuestState::Ending), None),
    };
    let note = |state: Option<GuestState>| state.map_or(Ok(()), |state| folder.set_state(state));
    note(before).map_err(|_| "the guest's folder cannot be written to")?;
    if order == Order::Destroy {
        guest.kill();
        guest.wait_for_end(events);
        return Ok(());
    }
    guest.tell(order);
    if guest.answers(order.word(), events) {
        note(after).map_err(|_| "the guest's folder cannot be written to")
    } else {
        Err("the guest's first process does not answer")
    }
}
