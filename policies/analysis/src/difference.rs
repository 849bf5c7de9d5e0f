// SPDX-License-Identifier: GPL-3.0-or-later
//! Which decisions differ between two policies.
//!
//! Exact for every call that can be made in the system: from each of its domains and dom0, to
//! each target there is, for each service and argument that either policy names, and for any
//! that neither names. Two decisions are the same if nothing about them differs but the rule
//! that made them and the reason of a refusal.

use std::collections::{BTreeMap, HashMap};

use bulkhead_policy::{Policy, Rule, System};

use crate::bits::Bits;
use crate::decided::Decided;
use crate::plane::Plane;
use crate::relation::{Kind, Outcome, Part, Relation, Values, kinds_of};

/// Calls whose decisions differ in the same way: every service of the list, from every source,
/// to every target.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// The services, each with its argument.
    pub kinds: Vec<Kind>,
    /// The callers.
    pub sources: Vec<String>,
    /// The targets as callers name them.
    pub targets: Vec<String>,
    /// What became of the calls.
    pub before: Decided,
    /// What becomes of them.
    pub after: Decided,
    /// The rule that decided; `None` when none did.
    pub old_rule: Option<&'a Rule>,
    /// The rule that decides.
    pub new_rule: Option<&'a Rule>,
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

type Key = (Outcome, Outcome, Option<usize>, Option<usize>);

impl<'a> Difference<'a> {
    /// Compares two policies in one system.
    pub fn between(old: &'a Policy, new: &'a Policy, system: &System) -> Self {
        let plane = Plane::new(system);
        let (old, new) = (Relation::new(old, &plane), Relation::new(new, &plane));
        let kinds = kinds_of(&[&old, &new]);
        let mut values = Values::default();
        let mut found: HashMap<(Key, Bits, Bits), Vec<usize>> = HashMap::new();
        for (number, kind) in kinds.iter().enumerate() {
            let about = (old.about(kind), new.about(kind));
            if same_rules(&old, &about.0, &new, &about.1) {
                continue;
            }
            for (key, columns, rows) in of_kind(&old, &new, &about, &plane, &mut values) {
                found.entry((key, columns, rows)).or_default().push(number);
            }
        }
        let name = |at: usize| plane.rows[at].name.to_string();
        let mut changes: Vec<_> = found
            .into_iter()
            .map(|((key, columns, rows), numbers)| Change {
                kinds: numbers.into_iter().map(|n| kinds[n].clone()).collect(),
                sources: rows.iter().map(name).collect(),
                targets: columns.iter().map(|at| plane.text(at)).collect(),
                before: Decided::new(key.0, &plane, &values),
                after: Decided::new(key.1, &plane, &values),
                old_rule: key.2.map(|number| old.rules[number]),
                new_rule: key.3.map(|number| new.rules[number]),
            })
            .collect();
        let openness = |c: &Change<'_>| openness(&c.before) - openness(&c.after);
        changes.sort_by(|a, b| {
            let order = openness(a).cmp(&openness(b));
            order.then_with(|| {
                (&a.kinds, &a.sources, &a.targets).cmp(&(&b.kinds, &b.sources, &b.targets))
            })
        });
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
    // Ordered, so that the same policies give the same answer.
    let mut rectangles: HashMap<(Key, Bits), Bits> = HashMap::new();
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

/// Changes with the same rules and outcomes as one for people: which services it is about.
pub fn by_rules<'d, 'a>(difference: &'d Difference<'a>) -> Vec<Vec<&'d Change<'a>>> {
    type Place<'d> = (Option<(&'d str, u32)>, Option<(&'d str, u32)>);
    let mut groups: BTreeMap<(i8, Place<'d>, &Decided, &Decided), Vec<&Change<'a>>> =
        BTreeMap::new();
    let place = |rule: Option<&'d Rule>| rule.map(|r| (&*r.location.file, r.location.line));
    for change in &difference.changes {
        let order = openness(&change.before) - openness(&change.after);
        let rules = (place(change.old_rule), place(change.new_rule));
        let key = (order, rules, &change.before, &change.after);
        groups.entry(key).or_default().push(change);
    }
    groups.into_values().collect()
}
