// SPDX-License-Identifier: MIT OR Apache-2.0
//! What several messages carry: ids, rectangles, hints, flags and texts.

use std::fmt;

use crate::limits::{CLASS_SIZE, TITLE_SIZE};
use crate::wire::{Words, put};

/// A window by the id its guest gave it; opaque, and never an id of dom0's display.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WindowId(pub u32);

impl WindowId {
    /// The guest's whole screen, for agents that have no windows of their own.
    pub const SCREEN: Self = Self(0);
}

impl fmt::Display for WindowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A rectangle as a peer stated it: any value, also a negative size in two's complement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct WireRect {
    /// Pixels to the right of the origin.
    pub x: i32,
    /// Pixels below the origin.
    pub y: i32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl WireRect {
    pub(crate) fn read(words: &mut Words<'_>) -> Self {
        Self {
            x: words.i32(),
            y: words.i32(),
            width: words.u32(),
            height: words.u32(),
        }
    }

    pub(crate) fn words(self) -> [u32; 4] {
        [self.x as u32, self.y as u32, self.width, self.height]
    }
}

/// Size hints of a window. `flags` are the bits of X's WM_SIZE_HINTS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct WindowHints {
    /// Which groups are given.
    pub flags: u32,
    /// Smallest size.
    pub min: (u32, u32),
    /// Largest size.
    pub max: (u32, u32),
    /// Steps in which the size changes.
    pub increment: (u32, u32),
    /// Size from which steps are counted.
    pub base: (u32, u32),
}

impl WindowHints {
    /// The user chose the position.
    pub const USER_POSITION: u32 = 1;
    /// The program chose the position.
    pub const PROGRAM_POSITION: u32 = 4;
    /// [`Self::min`] is given.
    pub const MIN_SIZE: u32 = 16;
    /// [`Self::max`] is given.
    pub const MAX_SIZE: u32 = 32;
    /// [`Self::increment`] is given.
    pub const INCREMENT: u32 = 64;
    /// [`Self::base`] is given.
    pub const BASE_SIZE: u32 = 256;

    pub(crate) fn read(words: &mut Words<'_>) -> Self {
        let flags = words.u32();
        let mut pair = || (words.u32(), words.u32());
        Self {
            flags,
            min: pair(),
            max: pair(),
            increment: pair(),
            base: pair(),
        }
    }

    pub(crate) fn write(self, out: &mut Vec<u8>) {
        put(out, &[self.flags]);
        for (width, height) in [self.min, self.max, self.increment, self.base] {
            put(out, &[width, height]);
        }
    }
}

/// A change of a window's flags: what becomes set and what becomes unset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct WindowFlags {
    /// Bits that become set.
    pub set: u32,
    /// Bits that become unset.
    pub unset: u32,
}

impl WindowFlags {
    /// The window covers the screen.
    pub const FULLSCREEN: u32 = 1;
    /// The window wants the user to look.
    pub const DEMANDS_ATTENTION: u32 = 2;
    /// The window is put away.
    pub const MINIMISE: u32 = 4;
}

/// A text in a field of fixed size, as the guest filled it.
///
/// The bytes are hostile until made printable; [`Debug`](fmt::Debug) escapes them.
#[derive(Clone, PartialEq, Eq)]
pub struct Text<const N: usize>([u8; N]);

/// A window's title.
pub type Title = Text<TITLE_SIZE>;
/// One half of a window's class.
pub type ClassPart = Text<CLASS_SIZE>;

impl<const N: usize> Text<N> {
    /// Puts a text into the field: cut so that a NUL fits, the rest zero.
    pub fn new(text: &[u8]) -> Self {
        let mut field = [0; N];
        let length = text.len().min(N.saturating_sub(1));
        field[..length].copy_from_slice(&text[..length]);
        Self(field)
    }

    /// The bytes before the first NUL; the last byte of the field never counts.
    pub fn bytes(&self) -> &[u8] {
        let field = &self.0[..N.saturating_sub(1)];
        field.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    pub(crate) fn read(words: &mut Words<'_>) -> Self {
        Self(words.bytes())
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.bytes().escape_ascii())
    }
}
