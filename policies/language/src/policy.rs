// SPDX-License-Identifier: MIT OR Apache-2.0
//! A policy that was read without error, and how it decides.

use std::sync::Arc;

use bulkhead_policy_system::System;
use bulkhead_policy_text::{Diagnostic, Rejected, SourceMap};

use crate::call::Call;
use crate::choices;
use crate::files::{Includes, NoIncludes, PolicyFile};
use crate::index::Index;
use crate::parser;
use crate::places::Row;
use crate::relay::Relay;
use crate::rule::{Action, Options, Rule};
use crate::rules::{Brief, HeldRule, Numbered};
use crate::target::{Caller, Destination, Target};
use crate::verdict::{Denial, Grant, Question, Reason, Verdict};

/// A complete policy. It never changes; a new one takes its place.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub(crate) rules: Arc<Vec<Rule>>,
    pub(crate) index: Index,
    sources: SourceMap,
    warnings: Vec<Diagnostic>,
}

impl Policy {
    /// Reads a policy from files in the order in which they decide, with what they include.
    ///
    /// # Errors
    ///
    /// When there is any error, no rule counts; all errors that were found are returned.
    pub fn load(files: &[PolicyFile], includes: &dyn Includes) -> Result<Self, Rejected> {
        let parsed = parser::parse(files, includes);
        if parsed.has_errors() {
            return Err(Rejected {
                diagnostics: parsed.diagnostics,
                sources: parsed.sources,
            });
        }
        Ok(Self {
            index: Index::new(&parsed.rules),
            rules: Arc::new(parsed.rules),
            sources: parsed.sources,
            warnings: parsed.diagnostics,
        })
    }

    /// Reads a policy from names and texts that include nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn from_texts<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Rejected> {
        let files = files.into_iter().map(|(name, text)| PolicyFile {
            directory: String::new(),
            name: name.to_owned(),
            text: text.to_owned(),
        });
        Self::load(&files.collect::<Vec<_>>(), &NoIncludes)
    }

    /// The policy without rules: it denies everything.
    pub fn empty() -> Self {
        Self::default()
    }

    /// All rules in the order in which they are tried.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &Rule> {
        self.rules.iter()
    }

    /// The files that were read.
    pub fn sources(&self) -> &SourceMap {
        &self.sources
    }

    /// What is suspicious without being wrong.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Decides a call in the system as it is now. Whoever decides many calls in one system
    /// does so faster with [`Compiled`](crate::Compiled).
    pub fn evaluate(&self, system: &System, call: &Call) -> Verdict {
        self.decide(system, call, |caller, target, _| {
            let source = Row::Any(self.index.meaning_caller(caller));
            let target = Row::Any(self.index.meaning_target(target, caller, system));
            self.index.first(&call.service, &source, &target)
        })
    }

    /// Decides a call by the first rule that `first` finds for it; that is told the caller, the
    /// target, and where the target stands among the domains.
    pub(crate) fn decide(
        &self,
        system: &System,
        call: &Call,
        first: impl FnOnce(&Caller<'_>, &Target, Option<usize>) -> Option<Numbered>,
    ) -> Verdict {
        let caller = Caller::new(&call.source, system);
        let (target, at) = match Target::located(&call.target, system) {
            Ok(located) => located,
            Err(template) => return deny(Denial::NoSuchTemplate(template), None),
        };
        match first(&caller, &target, at) {
            Some(found) => self.apply(found, call, &caller, target, system),
            None => deny(Denial::NoRule, None),
        }
    }

    /// Where a call may go if the user is asked by a rule without `target=`, sorted by text.
    pub fn choices(&self, system: &System, call: &Call) -> Vec<Destination> {
        let caller = Caller::new(&call.source, system);
        choices::gather(self, &call.service, &caller, system)
    }

    /// Where a call would go if the first rule to match it said no more than `allow`.
    ///
    /// # Errors
    ///
    /// Why not even that would let it through.
    pub fn if_allowed(system: &System, call: &Call) -> Result<Destination, Denial> {
        let caller = Caller::new(&call.source, system);
        let target = Target::of(&call.target, system).map_err(Denial::NoSuchTemplate)?;
        let options = Options::default();
        resolve(&options, call, &caller, &target, system).map(|(destination, _)| destination)
    }

    fn apply(
        &self,
        found: Numbered,
        call: &Call,
        caller: &Caller<'_>,
        target: Target,
        system: &System,
    ) -> Verdict {
        let number = found.number as usize;
        let rule = HeldRule::new(&self.rules, number);
        let action = match found.brief {
            Brief::Deny => return deny(Denial::Rule, Some(rule)),
            Brief::Allow => return allow(rule, &Options::default(), call, caller, target, system),
            Brief::Other => &self.rules[number].action,
        };
        match action {
            Action::Deny { .. } => deny(Denial::Rule, Some(rule)),
            Action::Allow(options) => allow(rule, options, call, caller, target, system),
            Action::Ask { .. } if caller.domain.is_none() && !caller.dom0 => {
                deny(Denial::UnknownCaller(call.source.to_string()), Some(rule))
            }
            Action::Ask {
                options,
                default_target,
            } => {
                let mut choices = match &options.target {
                    None => choices::gather(self, &call.service, caller, system),
                    Some(redirect) => match Destination::of_redirect(redirect, caller, system) {
                        Ok(only) => only.into_iter().collect(),
                        Err(name) => return deny(Denial::MissingRedirect(name), Some(rule)),
                    },
                };
                choices.retain(|choice| started(choice, options).is_ok());
                if choices.is_empty() {
                    return deny(Denial::NoChoices, Some(rule));
                }
                let default = default_target.as_ref();
                let default = default
                    .and_then(|target| Destination::of_redirect(target, caller, system).ok())
                    .flatten()
                    .filter(|default| choices.contains(default));
                Verdict::Ask(Question {
                    rule,
                    source: caller.reference.clone(),
                    caller: caller.domain.cloned(),
                    service: call.service.clone(),
                    requested: target,
                    choices,
                    default,
                })
            }
        }
    }
}

fn deny(denial: Denial, rule: Option<HeldRule>) -> Verdict {
    Verdict::Deny(Reason { denial, rule })
}

fn allow(
    rule: HeldRule,
    options: &Options,
    call: &Call,
    caller: &Caller<'_>,
    target: Target,
    system: &System,
) -> Verdict {
    match resolve(options, call, caller, &target, system) {
        Ok((destination, relay)) => Verdict::Allow(Grant {
            rule,
            destination,
            requested: target,
            relay,
        }),
        Err(denial) => deny(denial, Some(rule)),
    }
}

/// Where an allowed call goes (specification of qrexec, 2.5).
fn resolve(
    options: &Options,
    call: &Call,
    caller: &Caller<'_>,
    target: &Target,
    system: &System,
) -> Result<(Destination, Option<Relay>), Denial> {
    let destination = match (&options.target, target) {
        (Some(redirect), _) => Destination::of_redirect(redirect, caller, system)
            .map_err(Denial::MissingRedirect)?
            .ok_or(Denial::NoDefaultDisposable)?,
        (None, Target::Default) => return Err(Denial::NoTarget),
        (None, Target::AdminVm) => Destination::Dom0,
        (None, Target::Domain { domain, .. }) => Destination::Domain(domain.clone()),
        (None, Target::DispVmOf { template, .. }) => Destination::Disposable(template.clone()),
        (None, Target::DispVm) => {
            let template = caller.disposable(system).cloned();
            Destination::Disposable(template.ok_or(Denial::NoDefaultDisposable)?)
        }
    };
    started(&destination, options)?;
    let relay = Relay::to(&destination, caller, &call.service, system)?;
    Ok((destination, relay))
}

/// Holds `autostart=no` against a destination.
fn started(destination: &Destination, options: &Options) -> Result<(), Denial> {
    match destination {
        _ if options.autostart => Ok(()),
        Destination::Dom0 => Ok(()),
        Destination::Disposable(_) => Err(Denial::WouldStart),
        Destination::Domain(domain) if domain.is_running() => Ok(()),
        Destination::Domain(domain) => Err(Denial::NotRunning(domain.name.to_string())),
    }
}
