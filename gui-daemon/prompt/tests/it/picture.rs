// SPDX-License-Identifier: GPL-3.0-or-later
//! What a user sees, by its pixels.

use std::path::Path;

use gtk4::gdk::{MemoryFormat, MemoryTexture};
use gtk4::glib::Bytes;
use gtk4::prelude::*;

/// A part of the screen.
pub struct Picture {
    left: i32,
    top: i32,
    width: i32,
    /// Four bytes for a pixel: blue, green, red, and one that means nothing.
    data: Vec<u8>,
}

impl Picture {
    pub fn new(left: i32, top: i32, width: i32, data: Vec<u8>) -> Self {
        Self {
            left,
            top,
            width,
            data,
        }
    }

    /// Places on the screen with their colours, row after row from the top.
    fn pixels(&self) -> impl DoubleEndedIterator<Item = ((i32, i32), u32)> {
        let pixels = self.data.as_chunks::<4>().0.iter().enumerate();
        pixels.map(|(number, pixel)| {
            let number = i32::try_from(number).unwrap();
            let at = (
                self.left + number % self.width,
                self.top + number / self.width,
            );
            (at, u32::from_le_bytes(*pixel) & 0xff_ff_ff)
        })
    }

    /// The first pixel of a colour.
    pub fn first(&self, colour: u32) -> Option<(i32, i32)> {
        self.pixels().find(|(_, own)| *own == colour).map(|p| p.0)
    }

    /// The last pixel of a colour.
    pub fn last(&self, colour: u32) -> Option<(i32, i32)> {
        self.pixels().rfind(|(_, own)| *own == colour).map(|p| p.0)
    }

    /// How many pixels have a colour.
    pub fn count(&self, colour: u32) -> usize {
        self.pixels().filter(|(_, own)| *own == colour).count()
    }

    /// The colour at a place of the screen.
    pub fn at(&self, place: (i32, i32)) -> u32 {
        let found = self.pixels().find(|(at, _)| *at == place);
        found
            .unwrap_or_else(|| panic!("{place:?} is not in the picture"))
            .1
    }

    pub fn save(&self, path: &Path) {
        let width = usize::try_from(self.width).unwrap();
        let opaque: Vec<u8> = (self.data.as_chunks::<4>().0.iter())
            .flat_map(|[blue, green, red, _]| [*red, *green, *blue])
            .collect();
        let height = i32::try_from(opaque.len() / 3 / width).unwrap();
        let texture = MemoryTexture::new(
            self.width,
            height,
            MemoryFormat::R8g8b8,
            &Bytes::from_owned(opaque),
            width * 3,
        );
        texture.save_to_png(path).unwrap();
    }
}
