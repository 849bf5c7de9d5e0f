// SPDX-License-Identifier: GPL-3.0-or-later
//! Where a surface lies around a guest's window, and which windows may be placed by
//! their guest alone (override-redirect).
//!
//! Wherever its guest wants a window, its frame is on the screen: a window manager need
//! not be there, nor be careful. Only the user, through it, moves a frame off the screen.
//!
//! A menu must not be able to pass for the desktop, a panel or another domain's window.
//! So it has a frame like every surface, the frame must be on the screen, and what would
//! cover nearly the whole work area is no menu.

use crate::{FRAME, Point, Rect};

/// The screen, and the part that panels leave free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Desktop {
    pub(crate) screen: Rect,
    pub(crate) work: Rect,
}

/// A guest's window and the surface that shows it, both in the root window's coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// What the guest takes for its window.
    pub(crate) content: Rect,
    /// The surface, frame included.
    pub(crate) surface: Rect,
}

impl Placed {
    /// The frame lies around the content.
    pub(crate) fn around(content: Rect) -> Self {
        Self {
            content,
            surface: content.with_frame(),
        }
    }

    /// The frame lies on the outermost pixels of the content.
    fn inside(content: Rect) -> Self {
        Self {
            content,
            surface: content,
        }
    }

    /// Where the content's first pixel lies in the surface.
    pub(crate) fn origin(self) -> Point {
        Point {
            x: self.content.x - self.surface.x,
            y: self.content.y - self.surface.y,
        }
    }

    /// The same relation of frame and content at another place of the surface.
    pub(crate) fn moved_to(self, surface: Rect) -> Self {
        let around = self.origin().x == FRAME;
        let content = if around {
            Rect {
                x: surface.x + FRAME,
                y: surface.y + FRAME,
                width: (surface.width - 2 * FRAME).max(1),
                height: (surface.height - 2 * FRAME).max(1),
            }
        } else {
            surface
        };
        Self { content, surface }
    }
}

impl Desktop {
    /// Whether a window of this size may be override-redirect: nine tenths of the work
    /// area are too much.
    pub(crate) fn may_override(self, content: Rect) -> bool {
        content.area() * 10 <= self.work.area() * 9
    }

    /// Whether an override-redirect surface may lie there: in the work area, or where
    /// nobody sees it (programs park windows there).
    pub(crate) fn accepts(self, surface: Rect) -> bool {
        self.work.contains(surface) || self.screen.intersect(surface).is_empty()
    }

    /// Places a window as near to its guest's wish as it may lie.
    pub(crate) fn place(self, wish: Rect, override_redirect: bool) -> Placed {
        if override_redirect {
            self.place_override(wish)
        } else {
            self.place_ordinary(wish)
        }
    }

    /// Places an ordinary window as near to its guest's wish as its frame is seen whole.
    fn place_ordinary(self, wish: Rect) -> Placed {
        let around = Placed::around(wish);
        around.moved_to(around.surface.forced_into(self.work))
    }

    /// Places an override-redirect window as near to its guest's wish as it may lie.
    fn place_override(self, wish: Rect) -> Placed {
        let around = Placed::around(wish);
        if self.accepts(around.surface) {
            around
        } else {
            Placed::inside(wish.forced_into(self.work))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESKTOP: Desktop = Desktop {
        screen: Rect {
            x: 0,
            y: 0,
            width: 1920,
            height: 1080,
        },
        work: Rect {
            x: 0,
            y: 20,
            width: 1920,
            height: 1060,
        },
    };

    #[test]
    fn an_ordinary_window_has_its_whole_frame_in_the_work_area() {
        let placed = DESKTOP.place_ordinary(Rect::new(100, 100, 50, 60));
        assert_eq!(placed.surface, Rect::new(96, 96, 58, 68));
        let corner = DESKTOP.place_ordinary(Rect::new(0, 0, 50, 60));
        assert_eq!(corner.surface, Rect::new(0, 20, 58, 68));
        assert_eq!(corner.content, Rect::new(4, 24, 50, 60));
        let far = DESKTOP.place_ordinary(Rect::new(9000, -9000, 50, 60));
        assert_eq!(far.surface, Rect::new(1862, 20, 58, 68));
        let huge = DESKTOP.place_ordinary(Rect::new(-4, -4, 1928, 1088));
        assert_eq!(huge.surface, DESKTOP.work);
        assert_eq!(huge.content, Rect::new(4, 24, 1912, 1052));
    }

    #[test]
    fn a_menu_gets_its_frame_around_it_if_there_is_room() {
        let placed = DESKTOP.place_override(Rect::new(100, 100, 50, 60));
        assert_eq!(placed.surface, Rect::new(96, 96, 58, 68));
        assert_eq!(placed.origin(), Point { x: 4, y: 4 });
    }

    #[test]
    fn a_menu_at_the_edge_gets_its_frame_inside() {
        let placed = DESKTOP.place_override(Rect::new(0, 20, 50, 60));
        assert_eq!(placed, Placed::inside(Rect::new(0, 20, 50, 60)));
        let outside = DESKTOP.place_override(Rect::new(-50, 1050, 200, 100));
        assert_eq!(outside.surface, Rect::new(0, 980, 200, 100));
    }

    #[test]
    fn a_window_nobody_sees_stays_where_it_is() {
        let parked = DESKTOP.place_override(Rect::new(-500, -500, 10, 10));
        assert_eq!(parked.content, Rect::new(-500, -500, 10, 10));
        let above = DESKTOP.place_override(Rect::new(10, -30, 900, 20));
        assert_eq!(
            above.content.y, -30,
            "its width plays no part above the screen"
        );
    }

    #[test]
    fn what_covers_the_work_area_is_no_menu() {
        assert!(!DESKTOP.may_override(Rect::new(0, 0, 1900, 1060)));
        assert!(DESKTOP.may_override(Rect::new(0, 0, 1900, 500)));
    }
}
