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
//! Qubes' own policy files, of the current and of the older form, load unchanged. Held against
//! the reference over random policies, systems and calls, every difference was one of these.
//! Each does the safe thing where the reference breaks down or can be got around.
//!
//! Deciding:
//!
//! - a caller is compared with the target by identity, not by text: `target=uuid:…` of the
//!   caller itself, or dom0 calling dom0 by its UUID, is a loop, and denied;
//! - dom0's three spellings mean the same everywhere: in the reference `@type:` and `@tag:`
//!   do not match a call to `@adminvm`, and a `deny` of `dom0` or `@type:AdminVM` leaves
//!   `@adminvm` in the list that `ask` offers, and the other way round;
//! - a `deny` of `@dispvm:NAME`, where NAME is the caller's default, or of its tag, also takes
//!   `@dispvm` out of the list of `ask`: both are the same disposable, and the reference
//!   offers what the rule denies;
//! - `@dispvm` matches a rule for `@dispvm:uuid:…` as it does one by name; in the reference
//!   such a `deny` never works;
//! - a caller without a default template for disposables that asks for `@dispvm` does not
//!   match `@dispvm:NAME`; the reference raises an exception. A default that does not exist
//!   counts as none;
//! - `ask` with a `target=` that does not exist, or that is no template for disposables, is
//!   denied; the reference offers it, and fails when it is chosen. `target=@dispvm` and
//!   `target=uuid:…` are offered by name, and `default_target=uuid:…` is found among the names;
//! - a rule for a disposable of what does not exist adds nothing to the list of `ask`; the
//!   reference raises an exception;
//! - `ask` for a caller that does not exist is denied; the reference raises an exception;
//! - a remote domain is named to its relay by its name, also when the call named it by UUID
//!   or the rule redirected it. A relay that calls a domain behind itself is a loop, and one
//!   that the call names by UUID may speak for the domains behind it as well;
//! - where a call goes is told by name, also when the call or the rule named it by UUID.
//!
//! Reading:
//!
//! - files that include each other in a circle are an error that names the circle; the
//!   reference runs out of stack, and every call fails. Depth and number of files are bounded;
//! - a line that holds a lone carriage return, another break that is not a line feed, or an
//!   invisible character is an error: a person and the parser would read different rules;
//! - a file named `*.policy` that cannot be read, such as a dangling link, is an error: it may
//!   hold denials. The reference passes over it;
//! - `!compat-4.0` without a directory of older files is a warning; in the reference every call
//!   fails. The denials that it adds after a file carry the place of the directive;
//! - the directory of run-time replacements may be missing; the reference denies every call;
//! - in a file of the older form, a line of nothing but commas is blank, and one of commas
//!   before a `#` a comment; the reference rejects them. `$include:` in the middle of a word is
//!   part of a name that no domain can bear; the reference rejects the line.
//!
//! A name that no domain can bear is accepted, as in the reference, with a warning.
#![forbid(unsafe_code)]

mod bound;
mod call;
mod choices;
mod compiled;
mod files;
mod index;
mod parser;
mod pattern;
mod places;
mod policy;
mod relay;
mod rule;
mod rules;
mod target;
mod verdict;

pub use bulkhead_policy_system::{Domain, System};
pub use bulkhead_policy_text::{
    Diagnostic, FileId, Help, Location, Note, Rejected, Severity, SourceFile, SourceMap, Span,
    nearest,
};
pub use bulkhead_types::{DomainRef, InvalidDomain};
pub use call::{Call, InvalidTarget, Requested};
pub use compiled::Compiled;
pub use files::{FileKind, Includes, NoIncludes, PolicyFile, Unreadable, old_file};
pub use pattern::{ArgumentPattern, DomainPattern, Pattern, Redirect, ServicePattern};
pub use policy::Policy;
pub use relay::Relay;
pub use rule::{Action, Options, Rule};
pub use target::{Caller, Destination, Target};
pub use verdict::{Denial, Grant, Question, Reason, Verdict};
