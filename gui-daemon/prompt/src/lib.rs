// SPDX-License-Identifier: GPL-3.0-or-later
//! Asks the user in dom0 whether a call is allowed: what is shown, and what counts as an answer.
//!
//! This library decides and does no I/O; time is an argument. The program around it, behind the
//! feature `gtk`, shows one window, listens on the policy agent's socket and does what
//! [`Prompt`] says.
//!
//! Trusts the policy daemon for who calls and where the call may go. The service's name and its
//! argument are a guest's; every text is shown by way of [`text::shown`], and never as markup.
//! Descriptions of services come from files that root owns.
//!
//! Invariants, held by the property test of [`prompt`](Prompt):
//! - nothing is allowed before the question has been on the screen for [`GUARD`], and nothing
//!   but a target that is offered and in view;
//! - each question gets one answer at most, and after [`PATIENCE`] that is a refusal;
//! - what the user did for one question never counts for the next.
#![forbid(unsafe_code)]

mod notices;
mod policy_watch;
mod prompt;
mod question;
pub mod services;
pub mod text;

pub use notices::{LIFETIME, Notices};
pub use policy_watch::{PolicyWatch, Word};
pub use prompt::{Effect, GUARD, Input, PATIENCE, Prompt, QuestionId, WAITING_MAX};
pub use question::{Question, Target};
