// SPDX-License-Identifier: GPL-3.0-or-later
//! Where a window is: what the X server has reported, and what it was asked for since.
//!
//! Requests and reports cross. A client that made its window small, let it grow and moved
//! it must not hear of the small one in the answer to the last request, and neither must the
//! daemon: both take what they hear for the present, and act on it.

use gui_protocol::WireRect;
use x11rb::protocol::xproto::{ConfigureNotifyEvent, ConfigureWindowAux, GetGeometryReply};

/// The longest side that X can express.
const LONGEST: u32 = 0x7fff;

/// A window's geometry as X counts it: the size without the border, the position with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) x: i32,
    pub(crate) y: i32,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) border: u32,
}

impl Place {
    /// The size with the border.
    pub(crate) fn outer_size(self) -> (u32, u32) {
        let outer = |inner: u32| inner.saturating_add(2 * self.border);
        (outer(self.width), outer(self.height))
    }

    /// The window as the daemon knows it.
    pub(crate) fn rect(self) -> WireRect {
        let (width, height) = self.outer_size();
        WireRect {
            x: self.x,
            y: self.y,
            width,
            height,
        }
    }

    /// The same border inside a rectangle of the daemon's.
    pub(crate) fn within(self, rect: WireRect) -> Self {
        let inner = |outer: u32| outer.saturating_sub(2 * self.border).clamp(1, LONGEST);
        Self {
            x: rect.x,
            y: rect.y,
            width: inner(rect.width),
            height: inner(rect.height),
            border: self.border,
        }
    }

    /// What becomes of it when a client's request is carried out.
    pub(crate) fn asked_for(self, aux: &ConfigureWindowAux) -> Self {
        Self {
            x: aux.x.unwrap_or(self.x),
            y: aux.y.unwrap_or(self.y),
            width: aux.width.unwrap_or(self.width),
            height: aux.height.unwrap_or(self.height),
            border: aux.border_width.unwrap_or(self.border),
        }
    }
}

impl From<&GetGeometryReply> for Place {
    fn from(reply: &GetGeometryReply) -> Self {
        Self {
            x: reply.x.into(),
            y: reply.y.into(),
            width: reply.width.into(),
            height: reply.height.into(),
            border: reply.border_width.into(),
        }
    }
}

impl From<&ConfigureNotifyEvent> for Place {
    fn from(event: &ConfigureNotifyEvent) -> Self {
        Self {
            x: event.x.into(),
            y: event.y.into(),
            width: event.width.into(),
            height: event.height.into(),
            border: event.border_width.into(),
        }
    }
}

/// What was reported and what was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Placement {
    seen: Place,
    latest: Place,
    /// The request that asked for the latest; reports from before it are outdated.
    since: u64,
}

impl Placement {
    /// A window that is there, as the answer to the request `asked` says.
    pub(crate) fn new(place: Place, asked: u64) -> Self {
        Self {
            seen: place,
            latest: place,
            since: asked,
        }
    }

    /// Where the window was when the server last reported it; its pixels have this size.
    pub(crate) fn seen(self) -> Place {
        self.seen
    }

    /// Where the window is, or will be once the server has done what it was asked for.
    pub(crate) fn latest(self) -> Place {
        self.latest
    }

    /// The request `asked` puts the window there.
    pub(crate) fn ask(&mut self, place: Place, asked: u64) {
        (self.latest, self.since) = (place, asked);
    }

    /// The server reports where the window went, having seen requests up to `sequence`.
    pub(crate) fn happened(&mut self, place: Place, sequence: u64) {
        if sequence >= self.since {
            (self.seen, self.latest) = (place, place);
        } else if place == self.latest {
            // A request for what the window has already brings no report of its own.
            self.seen = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(x: i32, width: u32) -> Place {
        Place {
            x,
            y: 0,
            width,
            height: 100,
            border: 1,
        }
    }

    #[test]
    fn a_window_that_was_small_when_it_was_made_is_never_small_again() {
        // Made as a point, then asked to grow, then to move, before any report of it.
        let mut window = Placement::new(place(0, 1), 10);
        let grow = ConfigureWindowAux::new().width(484);
        window.ask(window.latest().asked_for(&grow), 11);
        let move_aside = ConfigureWindowAux::new().x(50);
        let moved = window.latest().asked_for(&move_aside);
        assert_eq!(moved, place(50, 484), "a move keeps the size asked for");
        window.ask(moved, 12);
        // The report of the growth is outdated, and the daemon is told of neither it nor
        // the point.
        window.happened(place(0, 484), 11);
        assert_eq!(window.latest(), place(50, 484));
        window.happened(place(50, 484), 12);
        assert_eq!((window.seen(), window.latest()), (moved, moved));
    }

    #[test]
    fn reports_from_before_a_window_was_looked_at_are_outdated() {
        let mut window = Placement::new(place(0, 484), 10);
        window.happened(place(0, 1), 9);
        assert_eq!(
            (window.seen(), window.latest()),
            (place(0, 484), place(0, 484))
        );
    }

    #[test]
    fn what_the_daemon_asked_for_stands_until_the_server_says_otherwise() {
        let mut window = Placement::new(place(0, 484), 10);
        let wanted = window.latest().within(place(4, 700).rect());
        window.ask(wanted, 20);
        window.happened(place(9, 484), 19);
        assert_eq!((window.seen(), window.latest()), (place(0, 484), wanted));
        // The client's own idea of it, after it heard.
        window.happened(place(4, 690), 20);
        assert_eq!(window.latest(), place(4, 690));
    }

    #[test]
    fn asking_twice_for_the_same_needs_one_report() {
        let mut window = Placement::new(place(0, 1), 10);
        window.ask(place(0, 484), 11);
        window.ask(place(0, 484), 12);
        window.happened(place(0, 484), 11);
        assert_eq!(window.seen(), place(0, 484));
    }
}
