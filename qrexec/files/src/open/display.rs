// SPDX-License-Identifier: GPL-3.0-or-later
//! Waiting for the session's display.

use std::env;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::os::fd::AsFd;
use thiserror::Error;

/// Where X servers put their sockets.
const SOCKETS: &str = "/tmp/.X11-unix";
/// The X protocol's greeting: little endian, version 11.0, no authorisation.
const GREETING: [u8; 12] = [b'l', 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// A new socket is noticed at once; a server that is slow to answer on an old one, after this.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// There is no display to show anything on.
#[derive(Debug, Error)]
pub enum DisplayError {
    /// `DISPLAY` does not name a display of this machine.
    #[error("DISPLAY is `{0}`, not `:NUMBER`")]
    Unnamed(String),
    /// It did not answer in time.
    #[error("the display {name} did not answer within {seconds} seconds")]
    Silent {
        /// The display.
        name: String,
        /// How long it had.
        seconds: u64,
    },
}

/// Waits until the display named by `DISPLAY` answers a greeting.
pub fn wait_for_display(limit: Duration) -> Result<(), DisplayError> {
    let name = env::var("DISPLAY").unwrap_or_default();
    let socket = socket_of(&name).ok_or_else(|| DisplayError::Unnamed(name.clone()))?;
    let deadline = Instant::now() + limit;
    loop {
        // The watch comes before the look, so that nothing falls between them.
        let watch = watch_folder(socket.parent().unwrap_or(Path::new(SOCKETS)));
        if greets(&socket) {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let seconds = limit.as_secs();
            return Err(DisplayError::Silent { name, seconds });
        }
        wait_for_change(watch.as_ref(), left.min(LOOK_AGAIN));
    }
}

fn socket_of(display: &str) -> Option<PathBuf> {
    let number = display.strip_prefix(':')?.split('.').next()?;
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| Path::new(SOCKETS).join(format!("X{number}")))
}

/// Whether a server accepts or refuses us; both show that it is there.
fn greets(socket: &Path) -> bool {
    let ask = || -> io::Result<[u8; 8]> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(LOOK_AGAIN))?;
        stream.write_all(&GREETING)?;
        let mut answer = [0; 8];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok()
}

/// A watch on the folder, or on the one above while it does not exist.
fn watch_folder(folder: &Path) -> Option<Inotify> {
    let watch = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok()?;
    let news = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
    watch
        .add_watch(folder, news)
        .or_else(|_| watch.add_watch(folder.parent().unwrap_or(Path::new("/tmp")), news))
        .ok()?;
    Some(watch)
}

fn wait_for_change(watch: Option<&Inotify>, limit: Duration) {
    let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::ZERO);
    let mut fds: Vec<PollFd<'_>> = watch
        .iter()
        .map(|watch| PollFd::new(watch.as_fd(), PollFlags::POLLIN))
        .collect();
    // An interrupted wait only means looking again sooner.
    let _ = poll(&mut fds, limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_display_of_this_machine_is_waited_for() {
        assert_eq!(socket_of(":0"), Some("/tmp/.X11-unix/X0".into()));
        assert_eq!(socket_of(":17.0"), Some("/tmp/.X11-unix/X17".into()));
        for bad in ["", ":", ":a", "host:0", ":../x", ":-1"] {
            assert_eq!(socket_of(bad), None, "{bad}");
        }
    }
}
