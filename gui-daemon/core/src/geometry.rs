// SPDX-License-Identifier: GPL-3.0-or-later
//! Rectangles that make sense, and where a frame lies around them.

use gui_protocol::WireRect;
use gui_protocol::limits::{MAX_HEIGHT, MAX_WIDTH};

/// Width of the frame on each of the four sides, in pixels.
pub const FRAME: i32 = 4;

/// A point, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Point {
    /// To the right.
    pub x: i32,
    /// Down.
    pub y: i32,
}

/// A rectangle of pixels.
///
/// Positions and sizes are small enough (below 2^17) that sums never overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Rect {
    /// Left edge.
    pub x: i32,
    /// Upper edge.
    pub y: i32,
    /// Width; never negative.
    pub width: i32,
    /// Height; never negative.
    pub height: i32,
}

impl Rect {
    /// A rectangle at a place, of a size.
    pub fn new(x: i32, y: i32, width: i32, height: i32) -> Self {
        Self {
            x,
            y,
            width,
            height,
        }
    }

    /// Makes a guest's wish for a window a possible one: at least one pixel, at most the
    /// largest image, no further out than that size.
    pub fn of_window(wish: WireRect) -> Self {
        let size = |wish: u32, most: u32| (wish as i32).clamp(1, most as i32);
        Self {
            x: wish.x.clamp(-(MAX_WIDTH as i32), MAX_WIDTH as i32),
            y: wish.y.clamp(-(MAX_HEIGHT as i32), MAX_HEIGHT as i32),
            width: size(wish.width, MAX_WIDTH),
            height: size(wish.height, MAX_HEIGHT),
        }
    }

    /// The rectangle as it goes to a guest.
    pub fn to_wire(self) -> WireRect {
        WireRect {
            x: self.x,
            y: self.y,
            width: self.width.max(0) as u32,
            height: self.height.max(0) as u32,
        }
    }

    /// The first column to the right of it.
    pub fn right(self) -> i32 {
        self.x + self.width
    }

    /// The first row below it.
    pub fn bottom(self) -> i32 {
        self.y + self.height
    }

    /// Whether nothing lies in it.
    pub fn is_empty(self) -> bool {
        self.width <= 0 || self.height <= 0
    }

    /// How many pixels it has.
    pub fn area(self) -> i64 {
        i64::from(self.width.max(0)) * i64::from(self.height.max(0))
    }

    /// Whether all of `inner` lies in it.
    pub fn contains(self, inner: Self) -> bool {
        inner.x >= self.x
            && inner.y >= self.y
            && inner.right() <= self.right()
            && inner.bottom() <= self.bottom()
    }

    /// Whether the point lies in it.
    pub fn contains_point(self, at: Point) -> bool {
        (self.x..self.right()).contains(&at.x) && (self.y..self.bottom()).contains(&at.y)
    }

    /// What both have in common; empty if nothing.
    pub fn intersect(self, other: Self) -> Self {
        let x = self.x.max(other.x);
        let y = self.y.max(other.y);
        Self {
            x,
            y,
            width: (self.right().min(other.right()) - x).max(0),
            height: (self.bottom().min(other.bottom()) - y).max(0),
        }
    }

    /// The smallest rectangle around both.
    pub fn union(self, other: Self) -> Self {
        let x = self.x.min(other.x);
        let y = self.y.min(other.y);
        Self {
            x,
            y,
            width: self.right().max(other.right()) - x,
            height: self.bottom().max(other.bottom()) - y,
        }
    }

    /// Moved by this much.
    pub fn shifted(self, x: i32, y: i32) -> Self {
        Self {
            x: self.x + x,
            y: self.y + y,
            ..self
        }
    }

    /// Grown by the frame on every side.
    pub fn with_frame(self) -> Self {
        Self {
            x: self.x - FRAME,
            y: self.y - FRAME,
            width: self.width + 2 * FRAME,
            height: self.height + 2 * FRAME,
        }
    }

    /// What the frame leaves of a surface of this size, in the surface's coordinates;
    /// empty when the frame takes all of it.
    pub fn interior(self) -> Self {
        Self {
            x: FRAME,
            y: FRAME,
            width: (self.width - 2 * FRAME).max(0),
            height: (self.height - 2 * FRAME).max(0),
        }
    }

    /// Moved, and shrunk if it must be, until it lies in `area`.
    pub fn forced_into(self, area: Self) -> Self {
        let width = self.width.min(area.width);
        let height = self.height.min(area.height);
        Self {
            x: self.x.clamp(area.x, area.right() - width),
            y: self.y.clamp(area.y, area.bottom() - height),
            width,
            height,
        }
    }

    /// The parts of it that `cover` leaves: at most four.
    pub fn without(self, cover: Self) -> Vec<Self> {
        let cover = self.intersect(cover);
        if cover.is_empty() {
            return vec![self];
        }
        let (right, bottom) = (self.right(), self.bottom());
        [
            Self::new(self.x, self.y, self.width, cover.y - self.y),
            Self::new(self.x, cover.bottom(), self.width, bottom - cover.bottom()),
            Self::new(self.x, cover.y, cover.x - self.x, cover.height),
            Self::new(cover.right(), cover.y, right - cover.right(), cover.height),
        ]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_clamped_to_what_a_window_can_be() {
        let wish = |x, y, width, height| {
            Rect::of_window(WireRect {
                x,
                y,
                width,
                height,
            })
        };
        assert_eq!(wish(0, 0, 0, 0), Rect::new(0, 0, 1, 1));
        assert_eq!(wish(0, 0, -5_i32 as u32, 60000), Rect::new(0, 0, 1, 6144));
        assert_eq!(
            wish(i32::MIN, i32::MAX, 60000, 7),
            Rect::new(-16384, 6144, 16384, 7)
        );
    }

    #[test]
    fn what_a_cover_leaves_is_cut_into_four() {
        let whole = Rect::new(0, 0, 10, 10);
        let parts = whole.without(Rect::new(2, 3, 4, 5));
        assert_eq!(parts.iter().map(|part| part.area()).sum::<i64>(), 80);
        assert_eq!(whole.without(whole), []);
        assert_eq!(whole.without(Rect::default()), [whole]);
    }

    #[test]
    fn forcing_moves_first_and_shrinks_only_what_is_too_large() {
        let area = Rect::new(0, 20, 1920, 1060);
        let forced = Rect::new(-50, 1050, 200, 100).forced_into(area);
        assert_eq!(forced, Rect::new(0, 980, 200, 100));
        assert_eq!(
            Rect::new(5, 0, 3000, 10).forced_into(area),
            Rect::new(0, 20, 1920, 10)
        );
    }
}
