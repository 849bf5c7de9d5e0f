// SPDX-License-Identifier: GPL-3.0-or-later
//! Dom0's desktop as an X client sees it: which windows of which domains are there, and
//! the pixels of their frames.

mod frame;
mod watch;
mod windows;

pub use frame::{FRAME_WIDTH, Sides, sides};
pub use watch::{Unmet, Wanted};
pub use windows::{Desktop, DesktopError, Window};
