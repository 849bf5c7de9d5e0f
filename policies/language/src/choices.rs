// SPDX-License-Identifier: MIT OR Apache-2.0
//! The targets that `ask` offers (specification of qrexec, 2.6).

use bulkhead_types::Service;

use crate::pattern::{DomainPattern, Pattern, Redirect};
use crate::policy::Policy;
use crate::rule::{Action, Rule};
use crate::system::{Domain, System};
use crate::target::{Caller, Destination, Target, has_tag, named};

/// Everything some rule would let the caller reach with this service, sorted by text.
///
/// Rules are gone through from the last to the first, so that an earlier one overrules.
pub(crate) fn gather(
    policy: &Policy,
    service: &Service,
    caller: &Caller<'_>,
    system: &System,
) -> Vec<Destination> {
    let argument = service.policy_argument();
    let mut choices = Choices::none(caller, system);
    for number in policy.index.about(service).into_iter().rev() {
        let rule = &policy.rules[number as usize];
        if rule.is_service(service) && rule.is_argument(&argument) && caller.matches(&rule.source) {
            choices.apply(rule);
        }
    }
    choices.offered()
}

/// Which targets are in, for each that there can be.
struct Choices<'a> {
    caller: &'a Caller<'a>,
    system: &'a System,
    dom0: bool,
    /// The word `@dispvm`, which becomes a disposable of the caller's own default at the end.
    own: bool,
    /// In the order of the system's domains.
    domains: Vec<bool>,
    disposables: Vec<bool>,
}

impl<'a> Choices<'a> {
    fn none(caller: &'a Caller<'a>, system: &'a System) -> Self {
        Self {
            caller,
            system,
            dom0: false,
            own: false,
            domains: vec![false; system.len()],
            disposables: vec![false; system.len()],
        }
    }

    /// Takes in, or out, what a rule's `target=`, or else its target field, stands for.
    fn apply(&mut self, rule: &Rule) {
        let into = !matches!(rule.action, Action::Deny { .. });
        match rule.action.redirect() {
            None => self.apply_pattern(&rule.target, into),
            Some(Redirect::AdminVm) => self.dom0 = into,
            Some(Redirect::DispVm) => self.own = into,
            Some(Redirect::Domain(domain)) => self.apply_domain(domain, into),
            Some(Redirect::DispVmOf(template)) => self.apply_disposable(template, into),
        }
    }

    fn apply_pattern(&mut self, pattern: &Pattern, into: bool) {
        // A deny of the caller's own template is one of `@dispvm` as well: as a call, that
        // word would meet the same rule.
        let means_own = match into {
            true => matches!(pattern, Pattern::Any | Pattern::AnyVm | Pattern::DispVm),
            false => Target::DispVm.matches(pattern, self.caller, self.system),
        };
        if means_own {
            self.own = into;
        }
        match pattern {
            Pattern::Any => {
                self.dom0 = into;
                self.domains.fill(into);
                self.disposables.fill(into);
            }
            Pattern::AnyVm => {
                self.domains.fill(into);
                self.disposables.fill(into);
            }
            Pattern::AdminVm => self.dom0 = into,
            Pattern::Default | Pattern::DispVm => {}
            Pattern::Domain(domain) => self.apply_domain(domain, into),
            Pattern::Tag(tag) => self.apply_group(&|d| has_tag(d, tag), into),
            Pattern::Type(class) => self.apply_group(&|d| *d.class == **class, into),
            Pattern::DispVmOf(template) => self.apply_disposable(template, into),
            Pattern::DispVmTag(tag) => {
                let domains = self.system.domains().iter();
                for (domain, choice) in domains.zip(&mut self.disposables) {
                    if has_tag(domain, tag) {
                        *choice = into;
                    }
                }
            }
        }
    }

    fn apply_group(&mut self, wanted: &dyn Fn(&Domain) -> bool, into: bool) {
        let domains = self.system.domains().iter();
        for (domain, choice) in domains.zip(&mut self.domains) {
            if wanted(domain) {
                match domain.name.is_dom0() {
                    true => self.dom0 = into,
                    false => *choice = into,
                }
            }
        }
    }

    fn apply_domain(&mut self, pattern: &DomainPattern, into: bool) {
        let found = named(pattern, self.system);
        if let Some(at) = found.and_then(|domain| self.system.position(&domain.name)) {
            self.domains[at] = into;
        }
    }

    fn apply_disposable(&mut self, pattern: &DomainPattern, into: bool) {
        let found = named(pattern, self.system);
        if let Some(at) = found.and_then(|domain| self.system.position(&domain.name)) {
            self.disposables[at] = into;
        }
    }

    /// The targets that are in, without the caller and what is kept out of lists.
    fn offered(mut self) -> Vec<Destination> {
        let domains = || self.system.domains().iter();
        for (domain, choice) in domains().zip(&mut self.disposables) {
            *choice &= domain.template_for_dispvms;
        }
        let own = self.caller.disposable(self.system).filter(|_| self.own);
        if let Some(at) = own.and_then(|template| self.system.position(&template.name)) {
            self.disposables[at] = true;
        }
        let disposables = domains().zip(&self.disposables);
        let disposables = disposables.filter(|(d, into)| **into && !d.internal);
        let mut all: Vec<_> = disposables
            .map(|(template, _)| Destination::Disposable(template.clone()))
            .collect();
        let is_dom0 = |domain: &Domain| domain.name.is_dom0();
        let plain = domains()
            .zip(&self.domains)
            .filter(|(d, into)| **into && !is_dom0(d) && !d.internal && !self.caller.is(&d.name));
        let plain = plain.map(|(domain, _)| domain);
        if !self.dom0 || self.caller.dom0 {
            all.extend(plain.cloned().map(Destination::Domain));
            return all;
        }
        // Dom0 has its place in the order of names, whether the system knows it or not.
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for domain in plain {
            let list = match domain.name.as_str() < bulkhead_types::DomainName::DOM0 {
                true => &mut before,
                false => &mut after,
            };
            list.push(Destination::Domain(domain.clone()));
        }
        all.append(&mut before);
        all.push(Destination::Dom0);
        all.append(&mut after);
        all
    }
}
