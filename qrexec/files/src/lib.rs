// SPDX-License-Identifier: GPL-3.0-or-later
//! Copying files between domains, opening them elsewhere, and running what another
//! domain was allowed to run: the programs behind a guest's services.
//!
//! [`wire`] is the format of a copy, without I/O. [`send`] and [`receive`] are its two
//! ends on a file system; [`open`] is the viewing of a file in another domain;
//! [`command_word`] carries a command inside a service's argument; [`applications`] lists what a
//! guest's menu would show.
//!
//! Trusts the domain it runs in. The other end of every stream is hostile: names, sizes,
//! modes, times and answers are checked before use, and what is shown of them is cleaned.
//!
//! Invariants: a received file appears complete or not at all; nothing is written or
//! opened outside the folder a copy was meant for; a file that exists is not replaced.
#![forbid(unsafe_code)]

pub mod applications;
pub mod call;
pub mod command_word;
pub mod copy_command;
pub mod open;
pub mod receive;
pub mod report;
pub mod send;
pub mod wire;
