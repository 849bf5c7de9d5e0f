// SPDX-License-Identifier: GPL-3.0-or-later
//! The loop of the process in a user's session that starts services for the agent.

use std::io::{self, Read as _};
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bulkhead_vchan::Endpoints;
use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Uid;
use qrexec_protocol::exec::Exec;
use qrexec_protocol::fork_link::{HEAD_LEN, command_len, decode};
use qrexec_protocol::version::Version;
use qrexec_relay::{Host, Orders, Pool};

use crate::carry_out::{Call, STACK, carry_out};

/// How long the agent may take for its record.
const PATIENCE: Duration = Duration::from_secs(10);
/// When to look again where no call could be taken.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(200);
/// The most calls at one time; past it a connection is closed, and the agent counts its call as ended.
const CALLS_MAX: usize = 1024;

/// What a fork server has.
#[derive(Debug)]
pub struct ForkServer {
    listener: UnixListener,
    endpoints: Arc<Endpoints>,
    host: Arc<Host>,
    user: String,
    newest: Version,
    calls: Arc<AtomicUsize>,
    pool: Pool,
}

impl ForkServer {
    /// A fork server for the session of `user`, who runs this process. `newest` is the newest version
    /// of the protocol to speak.
    pub fn new(
        listener: UnixListener,
        endpoints: Endpoints,
        user: String,
        newest: Version,
    ) -> Self {
        Self {
            listener,
            endpoints: Arc::new(endpoints),
            host: Arc::new(Host::session()),
            user,
            newest,
            calls: Arc::default(),
            pool: Pool::new("call", STACK),
        }
    }

    /// Takes calls until the socket fails.
    pub fn run(&self) -> io::Error {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.take(stream),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // Calls that end give back what is missing. Who has asked meanwhile stays in line.
                Err(error) if is_shortage(&error) => {
                    tracing::warn!("no call is taken for a moment: {error}");
                    thread::sleep(SHORTAGE_PAUSE);
                }
                Err(error) => return error,
            }
        }
    }

    fn take(&self, stream: UnixStream) {
        let (endpoints, host) = (Arc::clone(&self.endpoints), Arc::clone(&self.host));
        let (user, calls) = (self.user.clone(), Arc::clone(&self.calls));
        let newest = self.newest;
        if calls.fetch_add(1, Ordering::Relaxed) >= CALLS_MAX {
            calls.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!("too many calls at one time");
            return;
        }
        let count = Arc::clone(&calls);
        let work = move || {
            match listen(&stream, &user) {
                Ok(exec) => {
                    let order = host.read(&exec.command);
                    let call = Call {
                        exec: &exec,
                        order: order.as_ref(),
                        version: newest,
                    };
                    // Whoever asked says that the caller is not coming or that the call has to end, or has gone.
                    let orders = Orders::Stream(stream.as_fd());
                    carry_out(&endpoints, &host, call, orders, || {
                        // It may have gone.
                        let _ = stream.shutdown(Shutdown::Both);
                    });
                }
                Err(error) => tracing::warn!("a call was not taken: {error}"),
            }
            calls.fetch_sub(1, Ordering::Relaxed);
        };
        if let Err(error) = self.pool.run(work) {
            count.fetch_sub(1, Ordering::Relaxed);
            tracing::error!("cannot take a call: {error}");
        }
    }
}

/// Whether the system has run out of something for now.
fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    let errno = error.raw_os_error().map(Errno::from_raw);
    errno.is_some_and(|errno| shortages.contains(&errno))
}

/// Hears which call is to be made. Only the agent and the session's own user may say.
fn listen(mut stream: &UnixStream, user: &str) -> io::Result<Exec> {
    let peer = Uid::from_raw(getsockopt(&stream, PeerCredentials)?.uid());
    if !peer.is_root() && peer != Uid::effective() {
        return Err(io::Error::other(format!("user {peer} may not ask")));
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = [0; HEAD_LEN];
    stream.read_exact(&mut head)?;
    let mut command = vec![0; command_len(&head).map_err(io::Error::other)?];
    stream.read_exact(&mut command)?;
    decode(&head, &command, user).map_err(io::Error::other)
}
