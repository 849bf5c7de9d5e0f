// SPDX-License-Identifier: GPL-3.0-or-later
//! The socket on which the policy daemon asks and tells: one connection for each.

use std::cell::Cell;
use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, bail};
use gtk4::glib::{ControlFlow, IOCondition, SourceId};
use nix::sys::stat::{Mode, umask};
use policy_agent_protocol::{REQUEST_MAX, Request};
use tracing::warn;

use super::Session;

/// How many may be read from at once.
const READING_MAX: usize = 128;

/// Listens for the policy daemon.
pub fn listen(socket: &Path, session: Rc<Session>) -> anyhow::Result<()> {
    let place = || format!("{} is where the policy daemon asks", socket.display());
    if UnixStream::connect(socket).is_ok() {
        bail!("another prompt listens on {}", socket.display());
    }
    if let Some(folder) = socket.parent() {
        // The session may be up before the policy daemon.
        std::fs::create_dir_all(folder).with_context(place)?;
    }
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(place),
        _ => {}
    }
    // Whoever can write to it can put questions to the user.
    let before = umask(Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(socket).with_context(place);
    umask(before);
    let listener = listener?;
    listener.set_nonblocking(true)?;
    let reading = Rc::new(Cell::new(0));
    on(listener.as_raw_fd(), IOCondition::IN, move || {
        while let Ok((stream, _)) = listener.accept() {
            if reading.get() < READING_MAX {
                read(stream, session.clone(), reading.clone());
            }
        }
        ControlFlow::Continue
    });
    Ok(())
}

/// Calls `then` once when the other side has closed the connection altogether.
pub fn when_closed(stream: &UnixStream, then: impl FnOnce() + 'static) -> SourceId {
    let mut then = Some(then);
    on(stream.as_raw_fd(), IOCondition::HUP, move || {
        if let Some(then) = then.take() {
            then();
        }
        ControlFlow::Break
    })
}

/// Reads a request to its end, and takes it.
fn read(mut stream: UnixStream, session: Rc<Session>, reading: Rc<Cell<usize>>) {
    if stream.set_nonblocking(true).is_err() {
        return;
    }
    reading.set(reading.get() + 1);
    let fd = stream.as_raw_fd();
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let mut done = move || {
        match stream.read(&mut buffer) {
            Ok(0) => {}
            Ok(length) => {
                bytes.extend_from_slice(&buffer[..length]);
                if bytes.len() <= REQUEST_MAX {
                    return false;
                }
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return false;
            }
            Err(_) => bytes.clear(),
        }
        take(&bytes, &stream, &session);
        true
    };
    on(fd, IOCondition::IN | IOCondition::HUP, move || {
        match done() {
            false => ControlFlow::Continue,
            true => {
                reading.set(reading.get() - 1);
                ControlFlow::Break
            }
        }
    });
}

fn take(bytes: &[u8], stream: &UnixStream, session: &Rc<Session>) {
    if bytes.is_empty() {
        // Somebody looked whether there is a prompt.
        return;
    }
    match Request::decode(bytes) {
        Ok(Request::Ask(ask)) => match stream.try_clone() {
            Ok(stream) => session.asked(&ask, stream),
            Err(error) => warn!("a question is lost: {error}"),
        },
        Ok(Request::Notify(notice)) => session.told(&notice),
        Err(error) => warn!("not a request: {error}"),
    }
}

fn on(fd: i32, what: IOCondition, mut then: impl FnMut() -> ControlFlow + 'static) -> SourceId {
    glib_unix::unix_fd_add_local(fd, what, move |_, _| then())
}
