// SPDX-License-Identifier: MIT OR Apache-2.0
//! The numbers of the protocol, each standing once.

/// Bytes of a message's header.
pub const HEADER_SIZE: usize = 12;
/// Bytes of one page of shared memory.
pub const PAGE_SIZE: usize = 4096;
/// The widest window or image, in pixels.
pub const MAX_WIDTH: u32 = 16384;
/// The highest window or image, in pixels.
pub const MAX_HEIGHT: u32 = 6144;
/// Pages of the largest image: 16384 x 6144 pixels of four bytes.
pub const MAX_IMAGE_PAGES: usize = 98304;
/// The longest body of a WINDOW_DUMP: four words and one reference per page.
pub const MAX_DUMP_BODY: usize = 16 + 4 * MAX_IMAGE_PAGES;
/// The longest clipboard text of a peer that speaks 1.7 or less, in bytes.
pub const MAX_CLIPBOARD_OLD: usize = 65000;
/// The longest clipboard text since 1.8, in bytes.
pub const MAX_CLIPBOARD: usize = 256_000;
/// What an agent sends when its text is longer than [`MAX_CLIPBOARD`]: one byte more.
pub const CLIPBOARD_OVERFLOW: usize = MAX_CLIPBOARD + 1;
/// Bytes of a title, with the NUL that ends it.
pub const TITLE_SIZE: usize = 128;
/// Bytes of each half of a window class, with the NUL that ends it.
pub const CLASS_SIZE: usize = 64;
/// What is added to a glyph of the X cursor font on the wire.
pub const CURSOR_BASE: u32 = 0x100;
/// The first number that is no cursor any more.
pub const CURSOR_END: u32 = 0x19a;
