// SPDX-License-Identifier: MIT OR Apache-2.0
//! The only door to Xen: event channels, grants, xenstore and `xl`.
//!
//! - [`evtchn`], [`gntdev`], [`gntalloc`]: the kernel's devices of these names. Their
//!   request numbers and structures are tested against the installed headers.
//! - [`store`]: xenstore, behind one trait with a client over the wire and a store in memory.
//! - [`xl`]: domains are made and ended by `xl` as a child process, from typed values.
//!
//! Works in dom0 and in a guest; only [`xl`] needs dom0. No C library is linked.
//!
//! **Trusts** the kernel, Xen, xenstored and `xl`. **Does not trust** other domains: values in
//! xenstore and the content of granted pages may come from a hostile guest, so they are
//! handed out as bytes, with limits.
//!
//! Invariants: a mapping or a port never outlives its owner; nothing typed here can make `xl`
//! read more than one value out of it.

pub mod evtchn;
pub mod gntalloc;
pub mod gntdev;
mod grant;
mod ioctl;
mod poll;
pub mod store;
pub mod xl;

pub use grant::OnUnmap;

#[cfg(test)]
mod headers;
