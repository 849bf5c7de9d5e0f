// SPDX-License-Identifier: GPL-3.0-or-later
//! The sending end of a copy.
//!
//! The files are the user's own; the receiver's answer comes from another domain and is
//! only believed as far as the sender's own checksum agrees.

mod explain;
mod meter;
mod pack;
mod survey;

pub use explain::shown;
pub use meter::{Meter, as_asked, contents};
pub use pack::{Links, SendError, Sent, remove, send, send_with};
pub use survey::Survey;
