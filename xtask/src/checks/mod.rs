// SPDX-License-Identifier: GPL-3.0-or-later
//! Checks of the sources themselves.

mod core_size;
mod licences;
mod unsafe_fence;

pub use core_size::core_size;
pub use licences::licences;
pub use unsafe_fence::unsafe_fence;
