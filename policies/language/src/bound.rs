// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rows of bits of every caller and target in a system.

use bulkhead_policy_system::System;
use bulkhead_types::DomainRef;

use crate::index::Index;
use crate::places::{Numbers, Places, Row, Rows};
use crate::target::{Caller, Target};

/// Every caller and target of a system, each with the places of the rules that mean it.
///
/// Only for a caller that is not there the places have to be looked for with each call.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    /// The domains as callers and then as targets, each in the system's order; `@default`, dom0
    /// and `@dispvm`; disposables.
    rows: Rows,
    domains: usize,
    /// For each domain the row of new disposables that are made from it.
    disposables: Vec<Option<usize>>,
    /// For each domain the row of new disposables of its own default.
    own: Vec<Option<usize>>,
}

/// The places of targets that are no domains, after those that are.
const DEFAULT: usize = 0;
const DOM0: usize = 1;
const DISPVM: usize = 2;

impl Bound {
    /// Looks up all domains once, for many calls.
    pub fn new(index: &Index, system: &System) -> Self {
        let mut bound = Self {
            rows: Rows::default(),
            domains: system.len(),
            disposables: vec![None; system.len()],
            own: Vec::new(),
        };
        let mut known = Numbers::default();
        let mut push = |places: Vec<&Places>| bound.rows.push(&places, index.words(), &mut known);
        let references = system.domains().iter().map(|d| d.name.clone());
        let references: Vec<_> = references.map(DomainRef::Name).collect();
        for reference in &references {
            let caller = Caller::new(reference, system);
            push(index.meaning_caller(&caller));
        }
        // No word of a rule depends on who calls but `@dispvm`, and for somebody who is not
        // there it means nothing but itself.
        let nobody = DomainRef::Name(bulkhead_types::DomainName::dom0());
        let nobody = Caller {
            domain: None,
            position: None,
            ..Caller::new(&nobody, system)
        };
        let meaning = |target: &Target| index.meaning_target(target, &nobody, system);
        for domain in system.domains() {
            push(meaning(&match domain.name.is_dom0() {
                true => Target::AdminVm,
                false => Target::Domain {
                    domain: domain.clone(),
                    by_uuid: false,
                },
            }));
        }
        for target in [Target::Default, Target::AdminVm, Target::DispVm] {
            push(meaning(&target));
        }
        let default = |at: usize| system.position(system.domains()[at].default_dispvm.as_ref()?);
        let defaults: Vec<_> = (0..system.len()).map(default).collect();
        for (at, template) in system.domains().iter().enumerate() {
            if template.template_for_dispvms || defaults.contains(&Some(at)) {
                bound.disposables[at] = Some(push(meaning(&Target::DispVmOf {
                    template: template.clone(),
                    by_uuid: false,
                })));
            }
        }
        let own = defaults.into_iter().map(|at| bound.disposables[at?]);
        bound.own = own.collect();
        bound
    }

    /// The row of a caller; `None` for one that is not there.
    pub fn source(&self, caller: &Caller<'_>) -> Option<Row<'_>> {
        Some(Row::Known(self.rows.get(caller.position?)))
    }

    /// The row of a target that stands at `at` among the domains, if it is one or made from one.
    pub fn target(
        &self,
        target: &Target,
        at: Option<usize>,
        caller: &Caller<'_>,
    ) -> Option<Row<'_>> {
        let fixed = |number| self.rows.get(2 * self.domains + number);
        let disposable = |row: Option<usize>| row.map(|row| self.rows.get(row));
        Some(match target {
            Target::Default => Row::Known(fixed(DEFAULT)),
            Target::AdminVm => Row::Known(fixed(DOM0)),
            Target::Domain { .. } => Row::Known(self.rows.get(self.domains + at?)),
            Target::DispVmOf { .. } => Row::Known(disposable(self.disposables[at?])?),
            Target::DispVm => match caller.position.and_then(|at| disposable(self.own[at])) {
                Some(own) => Row::Both(fixed(DISPVM), own),
                None => Row::Known(fixed(DISPVM)),
            },
        })
    }
}
