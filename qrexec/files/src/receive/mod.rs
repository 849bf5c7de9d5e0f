// SPDX-License-Identifier: GPL-3.0-or-later
//! The receiving end of a copy.
//!
//! The sender is another domain and hostile. What it sends lands in one folder, each file
//! complete or not at all, and nothing that exists is touched.

mod folder;
mod unpack;

pub use folder::{BadHome, Incoming};
pub use unpack::{ReceiveError, receive};
