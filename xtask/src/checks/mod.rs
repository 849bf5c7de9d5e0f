// SPDX-License-Identifier: GPL-3.0-or-later
//! Checks of the sources themselves.

mod licences;
mod unsafe_fence;

pub use licences::licences;
pub use unsafe_fence::unsafe_fence;
