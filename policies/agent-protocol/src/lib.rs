// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the policy daemon and the program that asks the user say to each other.
//!
//! The program is called an agent and listens on a Unix socket. One connection carries one
//! [`Request`]: a line of metadata as every socket service gets it,
//! `policy.Ask dom0 name dom0` and a NUL byte, then one JSON object, then the end of that
//! direction. The [`Answer`] to `policy.Ask` is `allow:TARGET` or `deny` and the end of the
//! stream; `policy.Notify` has no answer. This is the protocol of Qubes' policy agent
//! (specification of qrexec, 2.9), so either side can be Qubes'.
//!
//! Some keys of the object are ours, and agents that do not know them skip them: the colours
//! of the domains, what the caller asked for, and how long an answer may be kept
//! ([`Lasting`]). Only an agent that was offered a choice of these may add a line
//! `for=10m` or `for=running` to its answer.
//!
//! Trusts nobody: the daemon checks the answer, the agent each text of the request, whose
//! service and argument a guest has chosen.
//!
//! Invariants:
//! - what is encoded is ASCII, and decodes to the same value;
//! - whatever is not exactly an answer is none, and none means refused;
//! - an agent takes requests of dom0 only: those of another domain, which a policy could let
//!   through by mistake, are errors.
#![forbid(unsafe_code)]

mod answer;
mod ascii;
mod choice;
mod metadata;
mod request;

pub use answer::{ANSWER_MAX, Answer, BadAnswer, Lasting, Unanswered};
pub use choice::{Choice, InvalidChoice};
pub use request::{Ask, BadRequest, Notify, REQUEST_MAX, Request, Resolution};
