// SPDX-License-Identifier: MIT OR Apache-2.0
//! The targets that `ask` offers (specification of qrexec, 2.6).

use bulkhead_policy_system::{Domain, System};
use bulkhead_types::{DomainName, Service};

use crate::pattern::{DomainPattern, Pattern, Redirect};
use crate::policy::Policy;
use crate::rule::{Action, Rule};
use crate::target::{Caller, Destination, named};

/// Everything some rule would let the caller reach with this service, sorted by text.
///
/// Rules are gone through from the last to the first, so that an earlier one overrules.
pub(crate) fn gather(
    policy: &Policy,
    service: &Service,
    caller: &Caller<'_>,
    system: &System,
) -> Vec<Destination> {
    let mut choices = Choices::none(caller, system);
    for number in policy.index.about(service, caller).into_iter().rev() {
        choices.apply(&policy.rules[number as usize]);
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
        let own = self.caller.disposable(self.system).filter(|_| !into);
        let means_own = match pattern {
            Pattern::Any | Pattern::AnyVm | Pattern::DispVm => true,
            Pattern::DispVmOf(template) => own.is_some_and(|own| template.is(own)),
            Pattern::DispVmTag(tag) => {
                own.is_some_and(|own| own.template_for_dispvms && own.has_tag(tag))
            }
            _ => false,
        };
        if means_own {
            self.own = into;
        }
        match pattern {
            Pattern::Any | Pattern::AnyVm => {
                self.dom0 = if *pattern == Pattern::Any {
                    into
                } else {
                    self.dom0
                };
                self.domains.fill(into);
                self.disposables.fill(into);
            }
            Pattern::AdminVm => self.dom0 = into,
            Pattern::Default | Pattern::DispVm => {}
            Pattern::Domain(domain) => self.apply_domain(domain, into),
            Pattern::Tag(tag) => self.apply_group(&|d| d.has_tag(tag), into),
            Pattern::Type(class) => self.apply_group(&|d| *d.class == **class, into),
            Pattern::DispVmOf(template) => self.apply_disposable(template, into),
            Pattern::DispVmTag(tag) => {
                let domains = self.system.domains().iter();
                let all = domains.zip(&mut self.disposables);
                for (_, choice) in all.filter(|(domain, _)| domain.has_tag(tag)) {
                    *choice = into;
                }
            }
        }
    }

    fn apply_group(&mut self, wanted: &dyn Fn(&Domain) -> bool, into: bool) {
        let domains = self.system.domains().iter();
        let all = domains.zip(&mut self.domains);
        for (domain, choice) in all.filter(|(domain, _)| wanted(domain)) {
            match domain.name.is_dom0() {
                true => self.dom0 = into,
                false => *choice = into,
            }
        }
    }

    fn apply_domain(&mut self, pattern: &DomainPattern, into: bool) {
        let choice = self.position(pattern).map(|at| &mut self.domains[at]);
        choice.into_iter().for_each(|choice| *choice = into);
    }

    fn apply_disposable(&mut self, pattern: &DomainPattern, into: bool) {
        let choice = self.position(pattern).map(|at| &mut self.disposables[at]);
        choice.into_iter().for_each(|choice| *choice = into);
    }

    fn position(&self, pattern: &DomainPattern) -> Option<usize> {
        self.system.position(&named(pattern, self.system)?.name)
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
        let listed = |d: &Domain| !d.name.is_dom0() && !d.internal && !self.caller.is(&d.name);
        let plain = domains().zip(&self.domains);
        let plain = plain.filter(|(domain, into)| **into && listed(domain));
        let plain: Vec<_> = plain.map(|(domain, _)| domain.clone()).collect();
        // Dom0 has its place in the order of names, whether the system knows it or not.
        let before = plain.partition_point(|d| d.name.as_str() < DomainName::DOM0);
        let dom0 = all.len() + before;
        all.extend(plain.into_iter().map(Destination::Domain));
        if self.dom0 && !self.caller.dom0 {
            all.insert(dom0, Destination::Dom0);
        }
        all
    }
}
