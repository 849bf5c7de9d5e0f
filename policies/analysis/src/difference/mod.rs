// SPDX-License-Identifier: GPL-3.0-or-later
//! Which decisions differ between two policies.
//!
//! Exact for every call that can be made in the system: from each of its domains and dom0, to
//! each target there is, for each service and argument that either policy names, and for any
//! that neither names. Two decisions are the same if nothing about them differs but the rule
//! that made them and the reason of a refusal.

mod compare;

use std::collections::HashMap;
use std::sync::Arc;

use bulkhead_policy::{Policy, Rule, System};
use foldhash::fast::RandomState;

use self::compare::{Found, Key, Pair, Rectangle};
use crate::bits::Bits;
use crate::decided::Decided;
use crate::kind::{Kind, kinds_of};
use crate::outcome::Outcome;
use crate::plane::Plane;
use crate::relation::Relation;

/// Calls whose decisions differ in the same way: every service of the list, from every source,
/// to every target.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// What became of the calls.
    pub before: Arc<Decided>,
    /// What becomes of them.
    pub after: Arc<Decided>,
    /// The rule that decided; `None` when none did.
    pub old_rule: Option<&'a Rule>,
    /// The rule that decides.
    pub new_rule: Option<&'a Rule>,
    key: Key,
    kinds: Vec<u32>,
    rows: Bits,
    columns: Bits,
    names: Arc<Names>,
}

/// What the numbers in changes stand for.
#[derive(Debug)]
struct Names {
    kinds: Vec<Kind>,
    rows: Vec<String>,
    columns: Vec<Arc<str>>,
}

impl Change<'_> {
    /// The services, each with its argument.
    pub fn kinds(&self) -> impl Iterator<Item = &Kind> + Clone {
        self.kinds.iter().map(|at| &self.names.kinds[*at as usize])
    }

    /// The callers.
    pub fn sources(&self) -> impl Iterator<Item = &str> + Clone {
        self.rows.iter().map(|at| self.names.rows[at].as_str())
    }

    /// The targets as callers name them.
    pub fn targets(&self) -> impl Iterator<Item = &str> + Clone {
        self.columns.iter().map(|at| &*self.names.columns[at])
    }

    /// How many calls these are; all arguments that no rule names count as one.
    pub fn calls(&self) -> usize {
        self.kinds.len() * self.rows.len() * self.columns.len()
    }
}

/// How two policies differ.
#[derive(Clone, Debug)]
pub struct Difference<'a> {
    /// The changes; those that let more through come first. No call is in two.
    pub changes: Vec<Change<'a>>,
    /// How many calls were compared.
    pub compared: u64,
}

impl<'a> Difference<'a> {
    /// Compares two policies in one system.
    pub fn between(old: &'a Policy, new: &'a Policy, system: &System) -> Self {
        let plane = Plane::new(system);
        let (old, new) = (Relation::new(old, &plane), Relation::new(new, &plane));
        let pair = Pair {
            old: &old,
            new: &new,
            plane: &plane,
        };
        let kinds = kinds_of(&[&old, &new]);
        let calls = kinds.len() * plane.rows.len() * plane.valid.len();
        let Found { rectangles, values } = pair.compare(&kinds);
        let names = Arc::new(Names {
            kinds,
            rows: plane.rows.iter().map(|row| row.name.to_string()).collect(),
            columns: plane.shared_texts().to_vec(),
        });
        let mut sides: HashMap<Outcome, Arc<Decided>, RandomState> = HashMap::default();
        let mut side = |outcome| {
            let side = sides.entry(outcome);
            let side = side.or_insert_with(|| Arc::new(Decided::new(outcome, &plane, &values)));
            side.clone()
        };
        let changes = rectangles.into_iter();
        let changes = changes.map(|(Rectangle { key, rows, columns }, kinds)| Change {
            before: side(key.before),
            after: side(key.after),
            old_rule: key.old_rule.map(|number| old.rules[number as usize]),
            new_rule: key.new_rule.map(|number| new.rules[number as usize]),
            key,
            kinds,
            rows,
            columns,
            names: names.clone(),
        });
        Self {
            changes: changes.collect(),
            compared: calls as u64,
        }
    }

    /// How many decisions differ.
    pub fn changed(&self) -> usize {
        self.changes.iter().map(Change::calls).sum()
    }
}

/// Changes with the same rules and outcomes together, for people: in the order of the first.
pub fn by_rules<'d, 'a>(difference: &'d Difference<'a>) -> Vec<Vec<&'d Change<'a>>> {
    let mut groups: Vec<Vec<&Change<'a>>> = Vec::new();
    let mut places: HashMap<Key, usize, RandomState> = HashMap::default();
    for change in &difference.changes {
        let at = *places.entry(change.key).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.push(change),
            None => groups.push(vec![change]),
        }
    }
    groups
}
