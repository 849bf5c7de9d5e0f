// SPDX-License-Identifier: GPL-3.0-or-later
//! The process in a guest that starts services and passes on the guest's own calls.
//!
//! It announces the control vchan for dom0, runs what its daemon asks for (one thread per call, which
//! connects to the caller's data vchan), and takes the requests of local programs on a socket.
//! A call for a user who has a fork server in a session is handed to that ([`ForkServer`]).
//! When the daemon goes away it announces the channel anew; calls that run keep running.
//!
//! Trusts neither side: the daemon's messages are checked like any peer's, and a local program
//! may connect, say half a sentence, and stay.
//!
//! Invariants:
//!
//! - The loop never blocks: not on the daemon, not on a caller, not on a service.
//! - Callers, calls and the line towards the daemon are bounded; past a bound the newcomer is refused. A
//!   local program that connects and does not say what it asks for has to go after some seconds, or when
//!   too many do that.
//! - A message of a call that began under one daemon is never sent to the next one.
//!
//! As root it starts a service as its user. Where `/etc/pam.d/qrexec` is there when the agent starts, each
//! service runs in a PAM session, which the program `qrexec-pam-session` beside the agent opens and closes;
//! what PAM refuses ends with 125. Elsewhere a service gets the user's ids, groups and environment
//! (`HOME`, `USER`, `LOGNAME`, `SHELL`, `PATH`), nothing more; the agent's log says which of the two it is.
//! Without root's rights, and in a fork server, there is no session to be opened.
//!
//! When a caller has gone, its service is not killed: its input ends, and what it still writes finds nobody
//! (`SIGPIPE`). One that heeds neither runs on; its grant's end, or the domain's, ends it. A caller that only
//! stops reading cannot say so in the protocol: its client goes on reading for it, and drops what comes.
#![forbid(unsafe_code)]

mod agent;
mod callers;
mod calls;
mod carry_out;
mod fork_server;
mod session;

pub use agent::{Agent, AgentError, Options};
pub use fork_server::ForkServer;
