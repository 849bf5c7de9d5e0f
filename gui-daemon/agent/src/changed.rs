// SPDX-License-Identifier: GPL-3.0-or-later
//! Which parts of a window changed since it was last captured.

/// More parts than this become one.
const MOST: usize = 12;

/// A part of a window's pixmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Part {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Part {
    /// All of a window of this size.
    pub(crate) fn whole(width: u32, height: u32) -> Self {
        Self {
            x: 0,
            y: 0,
            width,
            height,
        }
    }

    /// A rectangle of X's, cut to a window of this size.
    pub(crate) fn cut(x: i32, y: i32, width: i32, height: i32, size: (u32, u32)) -> Self {
        let cut = |from: i32, length: i32, most: u32| {
            let most = i32::try_from(most).unwrap_or(i32::MAX);
            let start = from.clamp(0, most);
            (
                start as u32,
                (from + length).clamp(start, most).abs_diff(start),
            )
        };
        let (x, width) = cut(x, width, size.0);
        let (y, height) = cut(y, height, size.1);
        Self {
            x,
            y,
            width,
            height,
        }
    }

    pub(crate) fn pixels(self) -> usize {
        self.width as usize * self.height as usize
    }

    fn around(self, other: Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let right = (self.x + self.width).max(other.x + other.width);
        let bottom = (self.y + self.height).max(other.y + other.height);
        Self {
            x,
            y,
            width: right - x,
            height: bottom - y,
        }
    }
}

/// Parts, joined where that means no more pixels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changed(Vec<Part>);

impl Changed {
    pub(crate) fn add(&mut self, part: Part) {
        if part.pixels() == 0 {
            return;
        }
        let mut part = part;
        let gains = |a: Part, b: Part| a.around(b).pixels() <= a.pixels() + b.pixels();
        while let Some(at) = self.0.iter().position(|other| gains(*other, part)) {
            part = part.around(self.0.swap_remove(at));
        }
        self.0.push(part);
        if self.0.len() > MOST {
            self.0 = self.0.drain(..).reduce(Part::around).into_iter().collect();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self) -> Vec<Part> {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_the_window_is_cut_off() {
        let cut = Part::cut(-5, 90, 20, 20, (100, 100));
        assert_eq!((cut.x, cut.y, cut.width, cut.height), (0, 90, 15, 10));
        assert_eq!(Part::cut(200, 0, 5, 5, (100, 100)).pixels(), 0);
    }

    #[test]
    fn neighbours_are_captured_together_and_too_many_as_one() {
        let mut changed = Changed::default();
        (0..10).for_each(|i| {
            changed.add(Part {
                x: 8 * i,
                y: 0,
                width: 8,
                height: 16,
            })
        });
        assert_eq!(changed.take(), [Part::whole(80, 16)]);
        (0..100).for_each(|i| {
            changed.add(Part {
                x: 50 * i,
                y: 50 * i,
                width: 1,
                height: 1,
            })
        });
        assert!(changed.take().len() <= MOST);
    }
}
