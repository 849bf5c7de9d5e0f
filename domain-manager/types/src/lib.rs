// SPDX-License-Identifier: MIT OR Apache-2.0
//! The words every part of Bulkhead shares, checked when they are made.
//!
//! A value of one of these types is proof that its text obeyed the limits of the
//! specification; nothing further down the line has to look again. There is no
//! conversion that skips the check: everything goes through `parse` or `try_from`.
//!
//! Trusts nobody: the texts come from guests, files and command lines alike.
//!
//! Invariants: no type holds an empty, over-long or badly spelled name; nothing here
//! reads a clock, a file, a socket or the environment.
#![forbid(unsafe_code)]

mod domain;
mod domain_ref;
mod escaped;
mod label;
mod layout;
mod os_words;
mod service;
mod volume;

pub use domain::{DomId, DomainName, DomainUuid, InvalidDomId, InvalidDomainName, InvalidUuid};
pub use domain_ref::{DomainRef, InvalidDomain};
pub use escaped::escaped;
pub use label::{Color, InvalidColor, InvalidLabel, Label};
pub use layout::Layout;
pub use os_words::os_words;
pub use service::{
    InvalidService, Port, SERVICE_DESCRIPTOR_MAX, SERVICE_NAME_MAX, Service, ServiceArgument,
    ServiceName,
};
pub use volume::{InvalidVolumeName, VolumeName};
