// SPDX-License-Identifier: GPL-3.0-or-later
//! Handing calls to the fork server in a user's session.
//!
//! A service that is to be part of the session (its display, its keyring, its limits) is started by
//! a process of that session. The folder of the sockets may be writable for a group, so a
//! socket's name proves nothing: its owner's process must run as the user whom the call is for.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::User;
use qrexec_protocol::agent_socket::ENDED;
use qrexec_protocol::exec::Exec;
use qrexec_protocol::fork_link::encode;
use qrexec_relay::{CallingOff, Interest, Orders, Word, wait};

/// Where the fork servers of the users are.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    /// A path in which `%s` stands for the user.
    pattern: String,
}

impl Sessions {
    /// The fork servers whose sockets are named by `pattern`; none for an empty one.
    pub fn new(pattern: &str) -> Option<Self> {
        (!pattern.is_empty()).then(|| Self {
            pattern: pattern.to_owned(),
        })
    }

    /// Hands a call to the session of `user`. `None` when that user has no session, and the call is
    /// still to be made.
    pub fn hand_over(&self, exec: &Exec, user: &str) -> Option<Handed> {
        match self.try_hand_over(exec, user) {
            Ok(handed) => handed,
            Err(error) => {
                tracing::warn!("cannot use the session of {}: {error}", user.escape_debug());
                None
            }
        }
    }

    fn try_hand_over(&self, exec: &Exec, user: &str) -> io::Result<Option<Handed>> {
        // A name that could lead elsewhere is no user's.
        if user.contains('/') {
            return Ok(None);
        }
        let path = self.pattern.replace("%s", user);
        let mut stream = match UnixStream::connect(path) {
            Ok(stream) => stream,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let expected = User::from_name(user)?.map(|user| user.uid.as_raw());
        let found = getsockopt(&stream, PeerCredentials)?.uid();
        if expected != Some(found) {
            let text = format!("its fork server runs as the user with the number {found}");
            return Err(io::Error::other(text));
        }
        let record = encode(exec).ok_or(ErrorKind::InvalidInput)?;
        stream.write_all(&record)?;
        Ok(Some(Handed(stream)))
    }
}

/// A call that a fork server carries out.
#[derive(Debug)]
#[must_use]
pub(crate) struct Handed(UnixStream);

impl Handed {
    /// Waits until the call has ended; a fork server of ours is told when it is called off or has to end.
    pub fn outlast(mut self, called_off: &CallingOff) {
        let ended = (self.0.as_fd(), Interest::Readable);
        let off = (called_off.fd(), Interest::Readable);
        if let Ok([ended, _]) = wait([Some(ended), Some(off)], None)
            && !ended.any()
        {
            // Others do not look there.
            if Orders::Thread(called_off).hear() == Word::End {
                let _ = self.0.write_all(ENDED);
            }
            let _ = self.0.shutdown(Shutdown::Write);
        }
        let mut bytes = [0; 64];
        // The fork server has nothing to say; only its end counts.
        while matches!(self.0.read(&mut bytes), Ok(1..)) {}
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use bulkhead_types::{DomId, Port};
    use nix::unistd::Uid;
    use qrexec_protocol::exec::{Mode, Route};

    use super::*;

    fn call(user: &str) -> Exec {
        Exec {
            mode: Mode::Attached,
            route: Route {
                domain: DomId::DOM0,
                port: Port(513),
            },
            command: format!("{user}:true").into_bytes(),
        }
    }

    #[test]
    fn a_session_is_used_only_if_its_process_runs_as_the_user() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions::new(&format!("{}/%s", dir.path().display())).unwrap();
        let own = User::from_uid(Uid::effective()).unwrap().unwrap().name;
        let other = if own == "nobody" { "root" } else { "nobody" };
        assert!(sessions.hand_over(&call(&own), &own).is_none());
        let _listeners =
            [&own[..], other, "no.such.user"].map(|user| UnixListener::bind(dir.path().join(user)));
        assert!(sessions.hand_over(&call(&own), &own).is_some());
        for user in [other, "no.such.user", "../../tmp"] {
            assert!(sessions.hand_over(&call(user), user).is_none(), "{user}");
        }
        assert!(Sessions::new("").is_none());
    }
}
