// SPDX-License-Identifier: GPL-3.0-or-later
//! Waiting until the desktop shows something, by the display's own events.

use std::collections::HashSet;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use x11rb::connection::Connection;

use super::frame::sides;
use super::windows::{Desktop, DesktopError, Window};

/// What should be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A window of this domain, with this text in its title, its frame whole in the colour
    /// (0xRRGGBB) on all four sides, and something painted inside. It is raised first.
    Framed {
        /// The domain, or any.
        domain: Option<String>,
        /// A part of the title.
        title: String,
        /// The frame's colour.
        color: u32,
    },
    /// No window of this domain.
    NoneOf {
        /// The domain.
        domain: String,
    },
}

/// What was wanted was not seen in time, or the display was lost.
#[derive(Debug, Error)]
pub enum Unmet {
    /// The display could not be asked.
    #[error(transparent)]
    Desktop(#[from] DesktopError),
    /// The time is over.
    #[error("within {seconds} s the desktop did not show {wanted}; it shows {seen}")]
    TimedOut {
        /// How long it had.
        seconds: u64,
        /// What should have been there.
        wanted: String,
        /// What was there instead.
        seen: String,
    },
}

impl Desktop {
    /// Waits until the desktop shows what is wanted; gives the windows that fit, which are
    /// none for [`Wanted::NoneOf`].
    pub fn wait(self, wanted: &Wanted, limit: Duration) -> Result<Vec<Window>, Unmet> {
        let deadline = Instant::now() + limit;
        self.watch_everything()?;
        let desktop = Arc::new(self);
        let (news, changed) = mpsc::channel();
        let watching = Arc::clone(&desktop);
        // Ends with the connection, or with the program.
        thread::spawn(move || {
            while watching.connection.wait_for_event().is_ok() && news.send(()).is_ok() {}
        });
        let (mut seen, mut raised) = (String::new(), HashSet::new());
        loop {
            match desktop.look(wanted, &mut seen, &mut raised)? {
                Some(windows) => return Ok(windows),
                None => desktop.connection.flush().map_err(DesktopError::Lost)?,
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if changed.recv_timeout(left).is_err() {
                let (seconds, wanted) = (limit.as_secs(), describe(wanted));
                return Err(Unmet::TimedOut {
                    seconds,
                    wanted,
                    seen,
                });
            }
            // A burst of changes needs one look.
            while changed.try_recv().is_ok() {}
        }
    }

    fn look(
        &self,
        wanted: &Wanted,
        seen: &mut String,
        raised: &mut HashSet<u32>,
    ) -> Result<Option<Vec<Window>>, DesktopError> {
        let windows = self.windows()?;
        *seen = windows.iter().map(summary).collect::<Vec<_>>().join(", ");
        if seen.is_empty() {
            seen.push_str("no window of any domain");
        }
        match wanted {
            Wanted::NoneOf { domain } => {
                let gone = !windows.iter().any(|window| window.domain == *domain);
                Ok(gone.then(Vec::new))
            }
            Wanted::Framed {
                domain,
                title,
                color,
            } => {
                let any = |w: &Window| domain.as_ref().is_none_or(|domain| w.domain == *domain);
                let fits = |w: &&Window| w.viewable && any(w) && w.title.contains(title);
                let mut framed = Vec::new();
                for window in windows.iter().filter(fits) {
                    // Once: raising is a change that would wake us again.
                    if raised.insert(window.id) {
                        self.raise(window.id)?;
                    }
                    let Some(picture) = self.window_pixels(window)? else {
                        continue;
                    };
                    let sides = sides(&picture, *color);
                    seen.push_str(&format!("; of {:#x} in {color:06x}: {sides:?}", window.id));
                    if sides.all() && sides.content {
                        framed.push(window.clone());
                    }
                }
                Ok((!framed.is_empty()).then_some(framed))
            }
        }
    }
}

fn summary(window: &Window) -> String {
    let Window {
        domain,
        title,
        x,
        y,
        width,
        height,
        ..
    } = window;
    let hidden = if window.viewable { "" } else { " hidden" };
    format!("{title:?} of {domain} at {x},{y} {width}x{height}{hidden}")
}

fn describe(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Framed {
            domain,
            title,
            color,
        } => {
            let domain = domain.as_deref().unwrap_or("any domain");
            format!("a window of {domain} titled {title:?} with a whole frame in {color:06x}")
        }
        Wanted::NoneOf { domain } => format!("the desktop without windows of {domain}"),
    }
}
