// SPDX-License-Identifier: MIT OR Apache-2.0
//! The policy language: which domain may call which service of which other domain.
//!
//! A [`Policy`] is read from files of rules, `SERVICE ARGUMENT SOURCE TARGET ACTION
//! [KEY=VALUE …]`, tried from the first to the last. The first whose four fields all match a
//! [`Call`] decides; if none does, the call is denied. The language is that of Qubes OS
//! (`policy.d`), so that existing files load unchanged.
//!
//! ```
//! use bulkhead_policy::{Call, DomainRef, Policy, Requested, System, Verdict};
//!
//! let policy = Policy::from_texts([(
//!     "30-user.policy",
//!     "qubes.Filecopy * work @anyvm deny notify=no\n",
//! )])?;
//! let call = Call {
//!     source: DomainRef::parse("work")?,
//!     service: "qubes.Filecopy".parse()?,
//!     target: Requested::parse("vault")?,
//! };
//! let Verdict::Deny(reason) = policy.evaluate(&System::default(), &call) else {
//!     unreachable!("the rule says no");
//! };
//! assert_eq!(reason.to_string(), "a rule denies the call (30-user.policy:1)");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Trusts the authors of the policy not to attack it, and nobody else: the names in a call
//! come from guests. What is wrong with a policy is told as [`Diagnostic`]s, which are data;
//! programs show them as they like.
//!
//! Invariants:
//! - a policy with any error has no rules at all: it is not a [`Policy`];
//! - a [`Grant`] comes from an evaluation or from the answer to the [`Question`] of one;
//! - a decision depends on the policy, the [`System`] and the call, and on nothing else: no
//!   clock, file, socket or environment is read;
//! - the index and a walk over all rules find the same rule (tested against a second,
//!   deliberately naive evaluator).
//!
//! # Where this differs from Qubes
//!
//! Where the reference breaks down or can be got around, the safe thing is done:
//!
//! - files that include each other in a circle are an error that names the circle; the
//!   reference runs out of stack, and every call fails;
//! - a caller without a default template for disposables that asks for `@dispvm` does not
//!   match `@dispvm:NAME`; the reference raises an exception;
//! - `@dispvm` matches a rule for `@dispvm:uuid:…` as it does one by name; in the reference
//!   such a `deny` never works;
//! - a caller is compared with the target by identity, not by text: `target=uuid:…` of the
//!   caller itself is a loop, and denied;
//! - `ask` with a `target=` that does not exist is denied; the reference offers it;
//! - `ask` from an unknown caller is an ordinary refusal; the reference raises an exception;
//! - a `default_dispvm` that is missing or no template for disposables counts as none;
//! - a line that holds a lone carriage return or an invisible character is an error: a person
//!   and the parser would read different rules;
//! - `!compat-4.0` and calls to or from remote domains are refused with a message.
//!
//! A name that no domain can bear is accepted, as in the reference, with a warning.
//! `@type:AdminVM`, and a tag on dom0, match dom0, as in the reference.
#![forbid(unsafe_code)]

mod call;
mod choices;
mod diagnostic;
mod expectation;
mod explain;
mod files;
mod index;
mod parser;
mod pattern;
mod policy;
mod rule;
mod span;
mod suggest;
mod system;
mod target;
mod verdict;

pub use call::{Call, DomainRef, InvalidDomain, InvalidTarget, Requested};
pub use diagnostic::{Diagnostic, Help, Note, Rejected, Severity};
pub use expectation::Expectations;
pub use explain::{Explanation, Field, NearMiss};
pub use files::{FileKind, Includes, NoIncludes, PolicyFile, Unreadable};
pub use pattern::{ArgumentPattern, DomainPattern, Pattern, Redirect, ServicePattern};
pub use policy::Policy;
pub use rule::{Action, Options, Rule};
pub use span::{FileId, Location, SourceFile, SourceMap, Span};
pub use system::{Domain, System};
pub use target::{Destination, Target};
pub use verdict::{Denial, Grant, Question, Reason, Verdict};
