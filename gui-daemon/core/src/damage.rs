// SPDX-License-Identifier: GPL-3.0-or-later
//! Damage, merged: agents report raw and overlapping rectangles.

use crate::Rect;

/// More rectangles than this become one.
const MOST: usize = 16;

/// The changed parts of an image, as few rectangles that do not waste much.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    rects: Vec<Rect>,
}

impl Damage {
    /// Adds a rectangle; joins it with others where that copies fewer pixels.
    pub fn add(&mut self, rect: Rect) {
        if rect.is_empty() {
            return;
        }
        let mut rect = rect;
        // Each join takes one rectangle out, so this ends.
        while let Some(at) = self
            .rects
            .iter()
            .position(|other| worth_joining(*other, rect))
        {
            rect = rect.union(self.rects.swap_remove(at));
        }
        self.rects.push(rect);
        if self.rects.len() > MOST {
            let around = self.rects.drain(..).reduce(Rect::union);
            self.rects.extend(around);
        }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.rects.is_empty()
    }

    /// Takes the rectangles out.
    pub fn take(&mut self) -> Vec<Rect> {
        std::mem::take(&mut self.rects)
    }
}

/// One rectangle around both has no more pixels than the two have.
fn worth_joining(a: Rect, b: Rect) -> bool {
    a.union(b).area() <= a.area() + b.area()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(rects: &[Rect]) -> Vec<Rect> {
        let mut damage = Damage::default();
        rects.iter().for_each(|rect| damage.add(*rect));
        damage.take()
    }

    #[test]
    fn the_cells_of_a_line_become_one_rectangle() {
        let cells: Vec<Rect> = (0..80).map(|i| Rect::new(8 * i, 16, 8, 16)).collect();
        assert_eq!(merged(&cells), [Rect::new(0, 16, 640, 16)]);
    }

    #[test]
    fn far_corners_stay_apart_until_there_are_too_many() {
        let corners = [Rect::new(0, 0, 1, 1), Rect::new(100, 100, 1, 1)];
        assert_eq!(merged(&corners).len(), 2);
        let scattered: Vec<Rect> = (0..1000)
            .map(|i| Rect::new(i * 7 % 501, i * 13 % 499, 1, 1))
            .collect();
        assert!(merged(&scattered).len() <= MOST);
    }

    #[test]
    fn nothing_is_lost() {
        let rects: Vec<Rect> = (0..40)
            .map(|i| Rect::new(i * 37 % 200, i * 53 % 200, 9, 5))
            .collect();
        let kept = merged(&rects);
        for rect in rects {
            let left = kept.iter().fold(vec![rect], |parts, cover| {
                parts
                    .into_iter()
                    .flat_map(|part| part.without(*cover))
                    .collect()
            });
            assert_eq!(left, [], "{rect:?}");
        }
    }
}
