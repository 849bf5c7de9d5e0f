// SPDX-License-Identifier: GPL-3.0-or-later
//! What every back end must do, as a suite that each of them passes.
//!
//! The crate's tests play it on the local back end, and the program
//! `hypervisor-conformance` plays it on Xen.

mod cases;
mod guests;

use std::error::Error as StdError;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bulkhead_vchan::Endpoints;

use crate::error::{OpenError, in_one_line};
use crate::hypervisor::Hypervisor;
use crate::spec::GuestSpec;

/// A back end to judge.
pub struct Subject {
    /// Opens it, as a manager that starts does.
    pub open: Box<dyn Fn() -> Result<Hypervisor, OpenError>>,
    /// Two guests that come up, start a qrexec agent and write to their consoles. No other
    /// guest is touched.
    pub guests: [GuestSpec; 2],
    /// The administrative domain's end of channels.
    pub endpoints: Endpoints,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("guests", &self.guests)
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

/// One thing that a back end must do.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What it is, as a sentence.
    pub name: &'static str,
    act: fn(&Subject) -> Result<(), Failure>,
}

/// Why a back end does not pass a case.
#[derive(Debug)]
pub struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: StdError> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(in_one_line(&error))
    }
}

impl Case {
    /// Every case.
    pub fn all() -> &'static [Self] {
        &cases::ALL
    }

    /// Plays the case; whatever guests it made are gone afterwards.
    pub fn play(&self, subject: &Subject) -> Result<(), Failure> {
        let played = catch_unwind(AssertUnwindSafe(|| (self.act)(subject)));
        let cleared = guests::clear_away(subject);
        played.unwrap_or_else(|_| Err(Failure("the case panicked".into())))?;
        cleared
    }
}

/// Fails a case unless something holds.
fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds {
        Ok(())
    } else {
        Err(Failure(otherwise()))
    }
}
