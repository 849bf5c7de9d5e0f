// SPDX-License-Identifier: GPL-3.0-or-later
//! The manager's side: orders come in over a socket in the guest's folder.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use bulkhead_hypervisor::local_guest::{GuestFolder, Order};

use crate::Event;

/// The longest order, in bytes.
const ORDER_MAX: u64 = 64;
/// How long a manager may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes the socket and takes orders from then on.
pub fn listen(folder: &GuestFolder, events: Sender<Event>) -> io::Result<()> {
    let listener = folder.with_control_address(|address| UnixListener::bind(address))?;
    thread::spawn(move || {
        for manager in listener.incoming().flatten() {
            match read(&manager) {
                Ok(Some(order)) => {
                    if events.send(Event::Ordered(order, manager)).is_err() {
                        return;
                    }
                }
                Ok(None) => {
                    let _ = answer(manager, Err("no such order"));
                }
                // It went away; so does its order.
                Err(_) => {}
            }
        }
    });
    Ok(())
}

fn read(manager: &UnixStream) -> io::Result<Option<Order>> {
    manager.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(manager.take(ORDER_MAX)).read_line(&mut line)?;
    Ok(Order::parse(line.trim_end()))
}

/// Tells the manager how it went.
pub fn answer(mut manager: UnixStream, done: Result<(), &str>) -> io::Result<()> {
    manager.set_write_timeout(Some(PATIENCE))?;
    match done {
        Ok(()) => writeln!(manager, "done"),
        Err(why) => writeln!(manager, "{why}"),
    }
}
