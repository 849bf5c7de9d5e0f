// SPDX-License-Identifier: GPL-3.0-or-later
//! What a policy amounts to, for the people who keep it: why a call is refused and what would
//! allow it ([`Explainer`]), which decisions a change changes, who can reach what, and what
//! looks wrong; and whether a policy meets what its tests expect ([`Expectations`]).
//!
//! None of this decides a call; that is the language crate's, whose verdicts are what is told
//! here. As there, nothing is read or written: the programs bring policies and systems, and
//! show what comes out.
//!
//! Trusts the authors of a policy; names in calls may come from guests and are escaped where
//! they stand in sentences.
#![forbid(unsafe_code)]

mod bits;
mod decided;
mod difference;
mod expectation;
mod explain;
mod format;
mod graph;
mod grouping;
mod kind;
mod lint;
mod matching;
mod missing;
mod outcome;
mod plane;
mod reach;
mod relation;
mod services;
mod shadow;
mod suggestion;
mod together;
mod who;

pub use decided::{Decided, listed};
pub use difference::{Change, Difference, by_rules};
pub use expectation::Expectations;
pub use explain::{Explainer, Explanation, Field, NearMiss};
pub use format::format_policy;
pub use graph::{Edge, Graph, Node};
pub use grouping::Grouped;
pub use kind::Kind;
pub use lint::lint;
pub use missing::each_once;
pub use reach::Networks;
pub use services::{Known, Power, service};
pub use suggestion::Suggestion;
pub use who::{Access, Cell, Matrix, who_can};
