// SPDX-License-Identifier: GPL-3.0-or-later
//! Who may call what: the relation that a policy amounts to, as lists and as a table.

use std::collections::BTreeMap;

use bulkhead_policy::{Policy, Rule, System};

use crate::decided::Decided;
use crate::kind::{Kind, kinds_of};
use crate::outcome::{Outcome, Values};
use crate::plane::Plane;
use crate::relation::Relation;

/// Calls of one service from one caller that are not refused, and why.
#[derive(Clone, Debug)]
pub struct Access<'a> {
    /// The service, with its argument.
    pub kind: Kind,
    /// The caller.
    pub source: String,
    /// The targets as the caller names them.
    pub targets: Vec<String>,
    /// What becomes of the calls: never `deny`.
    pub decided: Decided,
    /// The rule that decides.
    pub rule: &'a Rule,
}

/// Everybody who may call a service, perhaps to one target only (as callers name it).
///
/// Without an argument, all that rules tell apart are looked at; `+` is none. A domain that names
/// itself is left out: what it is asked then is where else the call shall go.
pub fn who_can<'a>(
    policy: &'a Policy,
    system: &System,
    service: &str,
    argument: Option<&str>,
    target: Option<&str>,
) -> Vec<Access<'a>> {
    let plane = Plane::new(system);
    let relation = Relation::new(policy, &plane);
    let mut values = Values::default();
    let mut found = Vec::new();
    for kind in kinds_of_service(&relation, service, argument) {
        let about = relation.about(&kind);
        for row in 0..plane.rows.len() {
            for part in relation.parts(&about, row, &plane, &mut values) {
                let (Some(rule), false) = (part.rule, matches!(part.outcome, Outcome::Deny { .. }))
                else {
                    continue;
                };
                let targets = part.columns.iter().map(|at| plane.text(at));
                let source = plane.rows[row].name.to_string();
                let targets: Vec<_> = targets
                    .filter(|t| *t != source && target.is_none_or(|to| to == t))
                    .collect();
                if targets.is_empty() {
                    continue;
                }
                found.push(Access {
                    kind: kind.clone(),
                    source,
                    targets,
                    decided: Decided::new(part.outcome, &plane, &values),
                    rule: relation.rules[rule],
                });
            }
        }
    }
    found
}

fn kinds_of_service(relation: &Relation<'_>, service: &str, argument: Option<&str>) -> Vec<Kind> {
    let mut kinds = kinds_of(&[relation]);
    kinds.retain(|kind| kind.service.as_deref() == Some(service));
    let exact = |argument: Option<&str>| Kind {
        service: Some(service.to_owned()),
        argument: argument.map(str::to_owned),
    };
    match argument {
        Some(_) => vec![exact(argument)],
        // No rule names the service, but some may be about every one.
        None if kinds.is_empty() => vec![exact(None)],
        None => kinds,
    }
}

/// One caller and one target, with what may be called between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Services that are allowed, with their arguments where rules tell them apart.
    pub allow: Vec<Kind>,
    /// Services that the user is asked about.
    pub ask: Vec<Kind>,
}

/// All callers and all targets.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// The callers.
    pub sources: Vec<String>,
    /// The targets as callers name them.
    pub targets: Vec<String>,
    /// By caller, by target.
    pub cells: Vec<Vec<Cell>>,
}

impl Matrix {
    /// Of one service (with one argument, if given), or of all that rules name. A call that
    /// no rule tells from others counts under the kind without a service.
    pub fn new(
        policy: &Policy,
        system: &System,
        service: Option<&str>,
        argument: Option<&str>,
    ) -> Self {
        let plane = Plane::new(system);
        let relation = Relation::new(policy, &plane);
        let mut values = Values::default();
        let columns: Vec<usize> = plane.valid.iter().collect();
        let width = columns.len();
        let mut cells = vec![vec![Cell::default(); width]; plane.rows.len()];
        let place: BTreeMap<usize, usize> =
            columns.iter().enumerate().map(|(n, at)| (*at, n)).collect();
        let kinds = match service {
            Some(service) => kinds_of_service(&relation, service, argument),
            None => kinds_of(&[&relation]),
        };
        for kind in kinds {
            let about = relation.about(&kind);
            for (row, cells) in cells.iter_mut().enumerate() {
                let name = plane.rows[row].name.to_string();
                let own = columns.iter().copied().find(|at| plane.text(*at) == name);
                for part in relation.parts(&about, row, &plane, &mut values) {
                    let others = part.columns.iter().filter(|at| Some(*at) != own);
                    for at in others {
                        let cell = &mut cells[place[&at]];
                        match part.outcome {
                            Outcome::Deny { .. } => {}
                            Outcome::Allow { .. } => cell.allow.push(kind.clone()),
                            Outcome::Ask { .. } => cell.ask.push(kind.clone()),
                        }
                    }
                }
            }
        }
        Self {
            sources: plane.rows.iter().map(|row| row.name.to_string()).collect(),
            targets: columns.iter().map(|at| plane.text(*at)).collect(),
            cells,
        }
    }
}
