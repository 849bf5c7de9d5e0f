// SPDX-License-Identifier: GPL-3.0-or-later
//! The screen and the work area, as the window manager states them.

use gui_core::{Event, Rect};
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _};

use super::{DisplayError, X11};

/// Four numbers per desktop; more desktops than this are not looked at.
const MOST_DESKTOPS: u32 = 64;

impl X11 {
    /// Asks for the present screen and work area. Where the window manager says nothing,
    /// or nothing sensible, the work area is the screen.
    pub fn work_area(&self) -> Result<Event, DisplayError> {
        let geometry = self.conn.get_geometry(self.root)?;
        let cardinal = AtomEnum::CARDINAL;
        let current = self.conn.get_property(
            false,
            self.root,
            self.atoms._NET_CURRENT_DESKTOP,
            cardinal,
            0,
            1,
        )?;
        let areas = self.conn.get_property(
            false,
            self.root,
            self.atoms._NET_WORKAREA,
            cardinal,
            0,
            4 * MOST_DESKTOPS,
        )?;
        let geometry = geometry.reply()?;
        let screen = Rect::new(0, 0, geometry.width.into(), geometry.height.into());
        let current = current
            .reply()?
            .value32()
            .and_then(|mut v| v.next())
            .unwrap_or(0);
        let areas: Vec<u32> = areas.reply()?.value32().into_iter().flatten().collect();
        let desktop = usize::try_from(current).unwrap_or(usize::MAX);
        let area = areas
            .as_chunks()
            .0
            .get(desktop)
            .or(areas.as_chunks().0.first());
        let sound = |[x, y, width, height]: [u32; 4]| {
            let side = |n: u32| i32::from(u16::try_from(n).unwrap_or(0));
            Rect::new(side(x), side(y), side(width), side(height))
        };
        let work = area.copied().map_or(screen, sound);
        Ok(Event::WorkArea { screen, work })
    }
}
