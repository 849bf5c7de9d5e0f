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
//!
//! # Where these programs differ from those of Qubes OS
//!
//! They take each other's streams: a copy, an opened file, a page's address or a command from the one arrives at the
//! other. What differs on purpose:
//!
//! - A copy keeps no set-user and set-group bits. Folders are sent in the order of their names.
//! - What is neither file nor folder nor link is left out of folders in both; asked for by name it is an error here.
//! - A move removes what has arrived and nothing else: neither what was left out nor what came meanwhile.
//! - Progress is shown on a terminal only. A wrong command line ends with 2, there mostly with 1, and a file whose
//!   name begins with a dash always has to stand behind `--`.
//! - A file that comes back changed keeps its mode and replaces what a link leads to; there it gets the mode 0600, and
//!   replaces the link. Changes are taken only from a call that ended with 0, so that half a file replaces nothing.
//! - A viewer or browser that fails gives its code to the caller, unless the file was changed; there it is 0.
//! - A page's address holds visible ASCII, names a host, has at most 8192 bytes, and its scheme may have capitals.
//!   Others are refused before anybody is asked.
//! - `qubes.VMExec` ends with 125 where its argument is no command or it may not be run, and with 127 where there is no such program;
//!   there it is 1 for all, which commands use too.
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
