// SPDX-License-Identifier: GPL-3.0-or-later
//! `policy.RegisterArgument`: a service hands out an argument to a domain and has calls with it
//! allowed (specification of qrexec, 2.10).
//!
//! The domain that offers the service calls it, towards the domain that the argument is for; a rule
//! has to send that call to dom0. Calls with the argument, of that domain to the caller, are allowed
//! from then on. An argument is given out once: a rule about it, whoever wrote it, is in the way of
//! another.

use bulkhead_policy::{ArgumentPattern, DomainRef, ServicePattern};
use bulkhead_types::ServiceName;

use super::change::{Edit, Machine};
use super::refusal::Refusal;
use super::request::{CONTENT_MAX, File};
use crate::set::Set;

/// The longest argument.
pub(super) const ARGUMENT_MAX: usize = 64;
/// The file of what was registered; its name says where it stands among the others.
const FILE: &str = "60-registered-arguments";

/// An argument that was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    service: ServiceName,
    argument: String,
    /// To whom.
    given_to: DomainRef,
}

impl Registered {
    /// Reads a request: the service is the call's argument, the domain its target, and the argument
    /// stands on the input.
    pub(super) fn read(service: &str, target: Option<&str>, input: &[u8]) -> Result<Self, Refusal> {
        let service = ServiceName::parse(service);
        let service = service.map_err(|error| Refusal::Protocol(error.to_string()))?;
        let given_to = target.and_then(|target| DomainRef::parse(target).ok());
        let given_to = given_to.ok_or_else(|| {
            Refusal::protocol("the call has to name the domain that the argument is for")
        })?;
        let legal = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        match std::str::from_utf8(input) {
            Ok(argument) if !input.is_empty() && input.iter().all(legal) => Ok(Self {
                service,
                argument: argument.to_owned(),
                given_to,
            }),
            _ => Err(Refusal::protocol(
                "an argument has 1 to 64 letters, digits, `.`, `_` or `-`",
            )),
        }
    }

    /// Has calls with the argument allowed to the caller.
    pub(super) fn serve(&self, machine: &Machine, caller: &str) -> Result<(), Refusal> {
        let file = File::named(false, FILE)?;
        let make = |live: &Set, before: Option<&[u8]>| {
            let policy = live.policy();
            let policy = policy.map_err(|_| Refusal::Other("the policy has errors".to_owned()))?;
            let argument = ArgumentPattern::Exactly(format!("+{}", self.argument).into());
            let service = ServicePattern::Named(self.service.as_str().into());
            let mut rules = policy.rules();
            if rules.any(|rule| rule.service == service && rule.argument == argument) {
                return Err(Refusal::Other("argument already registered".to_owned()));
            }
            let mut content = before.unwrap_or_default().to_vec();
            if content.last().is_some_and(|last| *last != b'\n') {
                content.push(b'\n');
            }
            let (service, argument) = (&self.service, &self.argument);
            let rule = format!("{service} +{argument} {} {caller} allow\n", self.given_to);
            content.extend_from_slice(rule.as_bytes());
            match content.len() > CONTENT_MAX {
                true => Err(Refusal::Other(format!("`{file}` is full"))),
                false => Ok(Some(content)),
            }
        };
        let edit = Edit {
            service: "policy.RegisterArgument",
            make: &make,
        };
        machine.change(caller, &file, &edit)
    }
}
