// SPDX-License-Identifier: GPL-3.0-or-later
//! What both ends of a call do with descriptors and processes.
//!
//! The rules of a call stand in `qrexec-protocol`; this crate carries them out: it finds a service,
//! starts it, and moves bytes between its descriptors and the data vchan. The agent in a guest, the
//! daemon and the client in dom0 and the caller in a guest all use it, so that a call behaves the
//! same wherever its ends are.
//!
//! Trusts neither the peer behind the vchan nor the local program: both may stop reading, flood,
//! or vanish at any moment.
//!
//! Invariants:
//!
//! - A call holds at most one frame per direction in memory. While a reader is slow, nothing more
//!   is read for it; there is no queue that could grow.
//! - Every wait is a `poll` over all that can happen; nothing sleeps and looks again.
//! - The caller's text never reaches a shell, unless dom0 itself asked for a shell command.
#![forbid(unsafe_code)]

mod call;
mod calling_off;
mod channel;
mod complaint;
mod control;
mod daemon_socket;
mod descriptors;
mod environment;
mod here;
mod identity;
mod journal;
mod lookup;
mod mailbox;
mod one_socket;
mod order;
mod pam_session;
mod pool;
mod process;
mod serve;
mod session_wait;
mod shell;
mod sink;
mod socket_service;
mod start;
mod tcp;
mod users;
mod wait;

pub use call::{CallFailed, Codes, Local, Traffic, call, call_measured};
pub use calling_off::{CallingOff, Orders, Word};
pub use channel::{Channel, ChannelError};
pub use complaint::{complain, say};
pub use control::{Control, ControlError};
pub use daemon_socket::{DaemonError, DaemonSocket};
pub use descriptors::{Limit, allow_many_descriptors};
pub use identity::Identity;
pub use journal::Journal;
pub use lookup::{Found, LookupError, SearchPath};
pub use mailbox::{Mailbox, Post};
pub use one_socket::hear_of_one_socket;
pub use order::Order;
pub use pam_session::{KeeperLine, Streams};
pub use pool::Pool;
pub use process::{Program, Running, exit_code};
pub use serve::{Lost, serve};
pub use shell::dom0_shell;
pub use sink::{Broken, Sink};
pub use start::{Host, Started};
pub use users::{SWITCH_WORD, become_user, service_command};
pub use wait::{Interest, Ready, wait, wait_for_any};
