// SPDX-License-Identifier: GPL-3.0-or-later
//! Looks whether the policy daemon is there: a connection on which nothing is said ends with it.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use gtk4::glib;
use tracing::info;

use super::{Session, agent};

/// How often one that is away is looked for.
const LOOK: Duration = Duration::from_millis(500);

/// Tells the session of the daemon behind `socket`, for as long as the session runs.
pub fn watch(socket: PathBuf, session: Rc<Session>) {
    match UnixStream::connect(&socket) {
        Ok(stream) => {
            session.policy(true);
            let held = Rc::new(stream);
            let own = held.clone();
            agent::when_closed(&held, move || {
                drop(own);
                watch(socket, session);
            });
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            info!("this session may not see whether policy answers: {error}");
        }
        Err(_) => {
            session.policy(false);
            glib::timeout_add_local_once(LOOK, move || watch(socket, session));
        }
    }
}
