// SPDX-License-Identifier: MIT OR Apache-2.0
//! The frames and state machines of qrexec, without I/O.
//!
//! qrexec lets one domain call a service in another one. This crate is the specification
//! of its wire format, in a form that runs: numbers, limits, structures, the order of
//! messages on each link, and what each end of a call does. It opens no socket and reads
//! no clock; a program feeds it bytes and events and does what it answers.
//!
//! # Links
//!
//! | link | who listens | who speaks first | messages |
//! |---|---|---|---|
//! | control vchan, port 512 | agent | agent | [`agent_link`] |
//! | daemon's socket in dom0 | daemon | daemon | [`client_link`] |
//! | agent's socket in a guest | agent | the caller | [`agent_socket`], answered by 8 raw bytes |
//! | fork server in a session | fork server | agent | [`fork_link`], no answer |
//! | data vchan of one call | the caller | both at once | [`data`], [`caller`], [`service`] |
//! | policy daemon's socket | policy daemon | qrexec daemon | [`policy`] |
//! | from the process that reads a guest to its daemon | – | that process | [`session_link`] |
//!
//! Everything is little-endian 32-bit words. A frame is a header of 8 bytes (kind and length
//! of what follows) and a body ([`frame`]). Links that negotiate begin with one `HELLO` in each
//! direction ([`version`]).
//!
//! # Trust
//!
//! *Every* peer is hostile, on either side of each link. Bytes are [`frame::Receiver`] input,
//! or have a type that begins with `Untrusted`, until a check has turned them into a type whose
//! fields are what they say.
//!
//! # Invariants
//!
//! - A frame's length is checked against its kind's bounds as soon as the header is there: no
//!   receiver ever holds more than one frame beyond what was pushed at once.
//! - Text that a domain sent is sanitised in one place ([`trigger::UntrustedTrigger::check`]) and
//!   nothing downstream sees the original.
//! - No input makes any function of this crate panic.
#![forbid(unsafe_code)]

pub mod agent_link;
pub mod agent_socket;
pub mod caller;
pub mod client_link;
pub mod command;
pub mod data;
pub mod exec;
pub mod exit;
pub mod fork_link;
pub mod frame;
pub mod limits;
pub mod own_call;
pub mod policy;
pub mod ports;
pub mod report;
pub mod sanitize;
pub mod service;
pub mod service_config;
pub mod session_link;
pub mod trigger;
pub mod under_way;
pub mod version;
