// SPDX-License-Identifier: GPL-3.0-or-later
//! Which pixels go where: damage of the guest, exposure by the display.
//!
//! Nothing here touches the frame: every rectangle that is drawn is cut to what the frame
//! leaves.

use gui_protocol::{WindowId, WireRect};

use crate::window::Window;
use crate::{Command, Effect, Point, Rect, Windows};

impl Windows {
    /// Notes a change of an image; it is drawn by [`Self::draw`].
    pub(crate) fn damage(&mut self, id: WindowId, rect: WireRect) {
        let part = Rect {
            x: rect.x,
            y: rect.y,
            width: i32::try_from(rect.width).unwrap_or(-1),
            height: i32::try_from(rect.height).unwrap_or(-1),
        };
        let negative = part.x < 0 || part.y < 0 || part.width < 0 || part.height < 0;
        let window = self.table.get_mut(&id);
        let Some((window, image)) = window.and_then(|w| w.image.map(|image| (w, image))) else {
            return;
        };
        // Sums must not overflow before the image's size bounds them.
        let far = part.x > image.size.width || part.y > image.size.height;
        if negative || far {
            return self.dropped_more(1);
        }
        let part = Rect {
            width: part.width.min(image.size.width),
            height: part.height.min(image.size.height),
            ..part
        };
        window.damage.add(part.intersect(image.size));
    }

    /// Draws what changed since the last call: every damaged pixel is fetched once.
    ///
    /// To be called when all that had arrived has been taken in, and the display is done
    /// with what it was given before.
    pub fn draw(&mut self, effects: &mut Vec<Effect>) {
        let damaged: Vec<WindowId> = self
            .table
            .values()
            .filter(|window| !window.damage.is_empty() && (window.mapped || window.is_screen()))
            .map(|window| window.id)
            .collect();
        for id in damaged {
            let parts = match self.table.get_mut(&id) {
                Some(window) => window.damage.take(),
                None => continue,
            };
            for part in parts {
                effects.push(Effect::Display(Command::Fetch { image: id, part }));
                self.put(id, part, effects);
            }
        }
    }

    /// Draws a part of an image wherever it is shown.
    fn put(&self, id: WindowId, part: Rect, effects: &mut Vec<Effect>) {
        if id != WindowId::SCREEN {
            return effects.extend(self.table.get(&id).and_then(|w| put_own(w, part)));
        }
        for window in self.table.values().filter(|w| w.mapped) {
            match window.image {
                Some(_) if window.is_screen() => effects.extend(put_own(window, part)),
                Some(_) => {}
                None => effects.extend(put_screen(window, part)),
            }
        }
    }

    /// Draws again what the display lost.
    pub(crate) fn expose(&self, id: WindowId, exposed: Rect, effects: &mut Vec<Effect>) {
        let Some(window) = self.table.get(&id).filter(|w| w.mapped) else {
            return;
        };
        let origin = window.placed.origin();
        let part = exposed.shifted(-origin.x, -origin.y);
        let screen = self.table.get(&WindowId::SCREEN).and_then(|w| w.image);
        match (window.image, screen) {
            (Some(image), _) => effects.extend(put_own(window, part.intersect(image.size))),
            (None, Some(image)) => {
                let content = window.placed.content;
                let part = part.shifted(content.x, content.y).intersect(image.size);
                effects.extend(put_screen(window, part));
            }
            (None, None) => {}
        }
    }

    /// Clears what a new image of this size does not cover.
    pub(crate) fn clear_around(&self, id: WindowId, size: Rect, effects: &mut Vec<Effect>) {
        let Some(window) = self.table.get(&id).filter(|w| w.mapped) else {
            return;
        };
        let origin = window.placed.origin();
        let interior = window.placed.surface.interior();
        for part in interior.without(size.shifted(origin.x, origin.y)) {
            if !part.is_empty() {
                effects.push(Effect::Display(Command::Clear { window: id, part }));
            }
        }
    }
}

/// A part of the window's own image, cut to what the frame leaves.
fn put_own(window: &Window, part: Rect) -> Option<Effect> {
    draw_at(window, window.id, part, window.placed.origin())
}

/// A part of the whole screen's image, as far as it lies under the window.
fn put_screen(window: &Window, part: Rect) -> Option<Effect> {
    let (content, origin) = (window.placed.content, window.placed.origin());
    let part = part.intersect(content);
    let at = Point {
        x: origin.x - content.x,
        y: origin.y - content.y,
    };
    draw_at(window, WindowId::SCREEN, part, at)
}

/// `origin` is where the image's first pixel would lie in the surface.
fn draw_at(window: &Window, image: WindowId, part: Rect, origin: Point) -> Option<Effect> {
    let interior = window.placed.surface.interior();
    let target = part.shifted(origin.x, origin.y).intersect(interior);
    if target.is_empty() {
        return None;
    }
    Some(Effect::Display(Command::Put {
        window: window.id,
        image,
        part: target.shifted(-origin.x, -origin.y),
        at: Point {
            x: target.x,
            y: target.y,
        },
    }))
}
