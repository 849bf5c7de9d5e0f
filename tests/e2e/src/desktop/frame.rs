// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether a picture of a window shows a whole frame.

use crate::Picture;

/// Pixels of the frame on each side of a window.
pub const FRAME_WIDTH: usize = 4;

/// Which sides of a frame are whole, and whether anything was painted inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Sides {
    pub top: bool,
    pub right: bool,
    pub bottom: bool,
    pub left: bool,
    /// Whether the inside shows at least two colours.
    pub content: bool,
}

impl Sides {
    /// Whether all four sides are whole.
    pub fn all(self) -> bool {
        self.top && self.right && self.bottom && self.left
    }
}

/// Looks at the outermost [`FRAME_WIDTH`] pixels of each side of a window's picture.
pub fn sides(window: &Picture, color: u32) -> Sides {
    let (width, height) = (window.width(), window.height());
    let is = |x: usize, y: usize, wanted: u32| window.pixel(x as i64, y as i64) == Some(wanted);
    let thick = FRAME_WIDTH.min(width).min(height);
    let row = |y: usize| (0..width).all(|x| is(x, y, color));
    let column = |x: usize| (0..height).all(|y| is(x, y, color));
    let (inner_width, inner_height) = (
        width.saturating_sub(FRAME_WIDTH),
        height.saturating_sub(FRAME_WIDTH),
    );
    let first = window.pixel(FRAME_WIDTH as i64, FRAME_WIDTH as i64);
    let content = (FRAME_WIDTH..inner_height)
        .any(|y| (FRAME_WIDTH..inner_width).any(|x| first.is_some_and(|f| !is(x, y, f))));
    Sides {
        top: thick > 0 && (0..thick).all(row),
        bottom: thick > 0 && (height - thick..height).all(row),
        left: thick > 0 && (0..thick).all(column),
        right: thick > 0 && (width - thick..width).all(column),
        content,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window of 20 by 12 with a red frame, white inside but for one black pixel.
    fn window(spoil: Option<(usize, usize)>) -> Picture {
        let mut rgb = Vec::new();
        for y in 0..12 {
            for x in 0..20 {
                let inside = (4..16).contains(&x) && (4..8).contains(&y);
                rgb.extend(match (inside, (x, y)) {
                    (_, at) if Some(at) == spoil => [1, 2, 3],
                    (true, (9, 5)) => [0, 0, 0],
                    (true, _) => [255, 255, 255],
                    (false, _) => [0xcc, 0, 0],
                });
            }
        }
        Picture::new(20, 12, rgb).unwrap()
    }

    #[test]
    fn one_wrong_pixel_breaks_a_side() {
        let whole = sides(&window(None), 0xcc0000);
        assert!(whole.all() && whole.content);
        assert!(!sides(&window(Some((10, 3))), 0xcc0000).top);
        assert!(!sides(&window(Some((16, 6))), 0xcc0000).right);
        assert!(!sides(&window(Some((10, 8))), 0xcc0000).bottom);
        assert!(!sides(&window(Some((0, 6))), 0xcc0000).left);
        assert!(!sides(&window(None), 0x3465a4).all());
    }

    #[test]
    fn a_blank_inside_is_no_content() {
        let blank = Picture::new(20, 12, [0xcc, 0, 0].repeat(240)).unwrap();
        assert!(!sides(&blank, 0xcc0000).content);
    }
}
