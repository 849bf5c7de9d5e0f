// SPDX-License-Identifier: GPL-3.0-or-later
//! Dom0's desktop: an X server without a screen, and a window manager.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{AtomEnum, ChangeWindowAttributesAux, ConnectionExt, EventMask};
use x11rb::rust_connection::RustConnection;

/// The property by which a window manager says that it manages.
const MANAGED: &[u8] = b"_NET_SUPPORTING_WM_CHECK";

/// The desktop of a fixture. It ends with the fixture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Display {
    /// What `DISPLAY` has to be.
    pub name: String,
    /// Width and height in pixels.
    pub size: (u16, u16),
}

impl Display {
    /// Large enough for four windows side by side.
    pub(crate) const SIZE: (u16, u16) = (1600, 1200);

    /// The X server's command line. It writes the number of its display to its output.
    pub(crate) fn server() -> Vec<String> {
        let (width, height) = Self::SIZE;
        let screen = format!("{width}x{height}x24");
        let words = [
            "Xvfb",
            "-displayfd",
            "1",
            "-screen",
            "0",
            &screen,
            "-nolisten",
            "tcp",
            "-noreset",
        ];
        words.map(str::to_owned).to_vec()
    }

    /// Waits until a window manager has taken over: windows that come before it lie where
    /// they like.
    pub(crate) fn managed(&self, limit: Duration) -> anyhow::Result<()> {
        let (tell, done) = mpsc::channel();
        let name = self.name.clone();
        // Ends with the display, if no window manager ever comes.
        thread::spawn(move || drop(tell.send(await_manager(&name))));
        done.recv_timeout(limit).context("no window manager came")?
    }

    /// The display whose number stands in the server's output.
    pub(crate) fn from_output(text: &str) -> Option<Self> {
        let number = text
            .lines()
            .find_map(|line| line.trim().parse::<u32>().ok())?;
        Some(Self {
            name: format!(":{number}"),
            size: Self::SIZE,
        })
    }
}

fn await_manager(display: &str) -> anyhow::Result<()> {
    let (connection, screen) = RustConnection::connect(Some(display))?;
    let root = connection.setup().roots[screen].root;
    let managed = connection.intern_atom(false, MANAGED)?.reply()?.atom;
    let news = ChangeWindowAttributesAux::new().event_mask(EventMask::PROPERTY_CHANGE);
    connection.change_window_attributes(root, &news)?.check()?;
    loop {
        let property = connection.get_property(false, root, managed, AtomEnum::WINDOW, 0, 1)?;
        if property.reply()?.value_len > 0 {
            return Ok(());
        }
        connection.wait_for_event()?;
    }
}
