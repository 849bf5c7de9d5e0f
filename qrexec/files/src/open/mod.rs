// SPDX-License-Identifier: GPL-3.0-or-later
//! Opening a file (`qubes.OpenInVM`) or a page (`qubes.OpenURL`) in another domain.
//!
//! The caller sends a field with the file's name and the file; the other domain shows it
//! with a viewer and, when it was changed, sends it back. Each side distrusts the other:
//! the viewer's side takes nothing but a name without a path from the field, and the
//! caller takes the changed file only when the call ended well.

mod address;
mod another;
mod display;
mod elsewhere;
mod name_field;
mod viewer;

pub use address::{ADDRESS_MAX, Address, BadAddress, open_address_elsewhere};
pub use another::{NotAnother, confirm, has_to_be_confirmed};
pub use display::{DisplayError, wait_for_display};
pub use elsewhere::open_elsewhere;
pub use name_field::{BadField, FIELD_LENGTH, Request};
pub use viewer::{Document, ViewError};
