// SPDX-License-Identifier: GPL-3.0-or-later
//! Which decisions differ between two policies.
//!
//! Exact for every call that can be made in the system: from each of its domains and dom0, to
//! each target there is, for each service and argument that either policy names, and for any
//! that neither names. Two decisions are the same if nothing about them differs but the rule
//! that made them and the reason of a refusal.

use std::collections::HashMap;
use std::sync::Arc;

use bulkhead_policy::{Policy, Rule, System};
use foldhash::fast::RandomState;

use crate::bits::Bits;
use crate::decided::Decided;
use crate::plane::Plane;
use crate::relation::{Kind, Outcome, Part, Relation, Values, kinds_of};

/// Calls whose decisions differ in the same way: every service of the list, from every source,
/// to every target.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// The services, each with its argument.
    pub kinds: Vec<Arc<Kind>>,
    /// The callers.
    pub sources: Vec<Arc<str>>,
    /// The targets as callers name them.
    pub targets: Vec<Arc<str>>,
    /// What became of the calls.
    pub before: Arc<Decided>,
    /// What becomes of them.
    pub after: Arc<Decided>,
    /// The rule that decided; `None` when none did.
    pub old_rule: Option<&'a Rule>,
    /// The rule that decides.
    pub new_rule: Option<&'a Rule>,
    key: Key,
}

impl Change<'_> {
    /// How many calls these are; all arguments that no rule names count as one.
    pub fn calls(&self) -> usize {
        self.kinds.len() * self.sources.len() * self.targets.len()
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

/// How, columns and rows, with the numbers of the kinds.
type Found = ((Key, Bits, Bits), Vec<usize>);
type Key = (Outcome, Outcome, Option<usize>, Option<usize>);

impl<'a> Difference<'a> {
    /// Compares two policies in one system.
    pub fn between(old: &'a Policy, new: &'a Policy, system: &System) -> Self {
        let plane = Plane::new(system);
        let (old, new) = (Relation::new(old, &plane), Relation::new(new, &plane));
        let kinds: Vec<_> = kinds_of(&[&old, &new]).into_iter().map(Arc::new).collect();
        let mut values = Values::default();
        let mut found: HashMap<(Key, Bits, Bits), Vec<usize>, RandomState> = HashMap::default();
        for (number, kind) in kinds.iter().enumerate() {
            let about = (old.about(kind), new.about(kind));
            if same_rules(&old, &about.0, &new, &about.1) {
                continue;
            }
            for (key, columns, rows) in of_kind(&old, &new, &about, &plane, &mut values) {
                found.entry((key, columns, rows)).or_default().push(number);
            }
        }
        let sides = Sides::new(found.keys().map(|(key, _, _)| key), &plane, &values);
        let mut found: Vec<(i8, Found)> = found
            .into_iter()
            .map(|found| (sides.order(&found.0.0), found))
            .collect();
        // Ordered, so that the same policies give the same answer.
        found.sort_unstable_by(|(order_a, a), (order_b, b)| {
            let ((_, columns_a, rows_a), kinds_a) = a;
            let ((_, columns_b, rows_b), kinds_b) = b;
            let order = order_a.cmp(order_b);
            order.then_with(|| (kinds_a, rows_a, columns_a).cmp(&(kinds_b, rows_b, columns_b)))
        });
        let rows_text: Vec<Arc<str>> = plane
            .rows
            .iter()
            .map(|row| row.name.as_str().into())
            .collect();
        let changes = found
            .into_iter()
            .map(|(_, ((key, columns, rows), numbers))| Change {
                kinds: numbers.into_iter().map(|n| kinds[n].clone()).collect(),
                sources: rows.iter().map(|at| rows_text[at].clone()).collect(),
                targets: columns.iter().map(|at| plane.shared_text(at)).collect(),
                before: sides.0[&key.0].clone(),
                after: sides.0[&key.1].clone(),
                old_rule: key.2.map(|number| old.rules[number]),
                new_rule: key.3.map(|number| new.rules[number]),
                key,
            });
        let changes = changes.collect();
        let calls = kinds.len() * plane.rows.len() * plane.valid.len();
        Self {
            changes,
            compared: calls as u64,
        }
    }

    /// How many decisions differ.
    pub fn changed(&self) -> usize {
        self.changes.iter().map(Change::calls).sum()
    }
}

/// Each outcome in words, once.
struct Sides(HashMap<Outcome, Arc<Decided>, RandomState>);

impl Sides {
    fn new<'k>(found: impl Iterator<Item = &'k Key>, plane: &Plane<'_>, values: &Values) -> Self {
        let mut sides = HashMap::default();
        for key in found {
            for outcome in [key.0, key.1] {
                let side = sides.entry(outcome);
                side.or_insert_with(|| Arc::new(Decided::new(outcome, plane, values)));
            }
        }
        Self(sides)
    }

    /// What lets more through comes first.
    fn order(&self, key: &Key) -> i8 {
        openness(&self.0[&key.0]) - openness(&self.0[&key.1])
    }
}

fn openness(decided: &Decided) -> i8 {
    match decided.verdict {
        "allow" => 2,
        "ask" => 1,
        _ => 0,
    }
}

/// Whether both have the same rules about a kind of call, so that nothing can differ.
fn same_rules(old: &Relation<'_>, a: &[usize], new: &Relation<'_>, b: &[usize]) -> bool {
    let says =
        |a: &Rule, b: &Rule| (&a.source, &a.target, &a.action) == (&b.source, &b.target, &b.action);
    let mut pairs = a.iter().zip(b);
    a.len() == b.len() && pairs.all(|(a, b)| says(old.rules[*a], new.rules[*b]))
}

/// The differences for one kind of call: how, which columns, which rows.
fn of_kind(
    old: &Relation<'_>,
    new: &Relation<'_>,
    about: &(Vec<usize>, Vec<usize>),
    plane: &Plane<'_>,
    values: &mut Values,
) -> Vec<(Key, Bits, Bits)> {
    let mut rectangles: HashMap<(Key, Bits), Bits, RandomState> = HashMap::default();
    for row in 0..plane.rows.len() {
        let before = old.parts(&about.0, row, plane, values);
        let after = new.parts(&about.1, row, plane, values);
        for (key, columns) in of_row(&before, &after) {
            let rows = rectangles.entry((key, columns));
            let rows = rows.or_insert_with(|| Bits::none(plane.rows.len()));
            rows.insert(row);
        }
    }
    let rectangles = rectangles.into_iter();
    rectangles
        .map(|((key, columns), rows)| (key, columns, rows))
        .collect()
}

fn of_row(before: &[Part], after: &[Part]) -> Vec<(Key, Bits)> {
    let mut changes: Vec<(Key, Bits)> = Vec::new();
    for old in before {
        for new in after {
            if old.outcome == new.outcome || !old.columns.meets(&new.columns) {
                continue;
            }
            let key = (old.outcome, new.outcome, old.rule, new.rule);
            let columns = old.columns.and(&new.columns);
            match changes.iter_mut().find(|(known, _)| *known == key) {
                Some((_, all)) => all.add(&columns),
                None => changes.push((key, columns)),
            }
        }
    }
    changes
}

/// Changes with the same rules and outcomes together, for people: in the order of the first.
pub fn by_rules<'d, 'a>(difference: &'d Difference<'a>) -> Vec<Vec<&'d Change<'a>>> {
    let mut groups: Vec<Vec<&Change<'a>>> = Vec::new();
    let mut places: HashMap<Key, usize> = HashMap::new();
    for change in &difference.changes {
        let at = *places.entry(change.key).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.push(change),
            None => groups.push(vec![change]),
        }
    }
    groups
}
