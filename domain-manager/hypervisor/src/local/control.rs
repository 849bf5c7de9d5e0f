// SPDX-License-Identifier: GPL-3.0-or-later
//! Orders to a guest's supervisor.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::error::Cause;
use crate::local_guest::{GuestFolder, Order};

/// How long a supervisor may take. It waits for the guest's first process for less.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer, in bytes.
const ANSWER_MAX: u64 = 1024;

/// Sends an order and waits until it has been carried out.
pub(super) fn send(guest: &GuestFolder, order: Order) -> Result<(), Cause> {
    let mut socket = guest.with_control_address(|address| UnixStream::connect(address))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    writeln!(socket, "{}", order.word())?;
    let mut answer = String::new();
    BufReader::new(socket.take(ANSWER_MAX)).read_line(&mut answer)?;
    match answer.trim_end() {
        "done" => Ok(()),
        "" => Err("the guest's supervisor hung up".into()),
        refusal => Err(refusal.to_owned().into()),
    }
}
