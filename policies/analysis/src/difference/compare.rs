// SPDX-License-Identifier: GPL-3.0-or-later
//! Finds the decisions that differ, a kind of call at a time, on as many threads as help.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::num::NonZero;
use std::{iter, thread};

use bulkhead_policy::{Rule, ServicePattern};
use foldhash::fast::RandomState;

use crate::bits::Bits;
use crate::kind::Kind;
use crate::outcome::{Outcome, Renumbered, Values};
use crate::plane::Plane;
use crate::relation::{Part, Relation};

/// How decisions differ: what becomes of the calls before and after, and by which rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub before: Outcome,
    pub after: Outcome,
    pub old_rule: Option<u32>,
    pub new_rule: Option<u32>,
}

/// Calls that differ in the same way: from every row, to every column.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Rectangle {
    pub key: Key,
    pub rows: Bits,
    pub columns: Bits,
}

/// What was found: rectangles with the numbers of their kinds of calls, sorted, and the values
/// behind the numbers in their outcomes.
#[derive(Default)]
pub(super) struct Found {
    pub rectangles: Vec<(Rectangle, Vec<u32>)>,
    pub values: Values,
}

/// Two policies over one plane.
pub(super) struct Pair<'p, 'a> {
    pub old: &'p Relation<'a>,
    pub new: &'p Relation<'a>,
    pub plane: &'p Plane<'a>,
}

/// A kind of call by its number, with the rules of both policies about it.
struct Work {
    kind: u32,
    old: Vec<usize>,
    new: Vec<usize>,
}

/// So many services are worth a thread.
const SERVICES_PER_THREAD: usize = 16;

impl Pair<'_, '_> {
    /// All differences, for kinds of calls that are sorted by service.
    pub fn compare(&self, kinds: &[Kind]) -> Found {
        let work = kinds.iter().zip(0..).map(|(kind, number)| Work {
            kind: number,
            old: self.old.about(kind),
            new: self.new.about(kind),
        });
        let work: Vec<_> = work.filter(|work| !self.is_same(work)).collect();
        let service = |work: &Work| &kinds[work.kind as usize].service;
        let services: Vec<_> = work.chunk_by(|a, b| service(a) == service(b)).collect();
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = threads.min(services.len() / SERVICES_PER_THREAD).max(1);
        let mut shares = thread::scope(|scope| {
            let share = |n| services.iter().skip(n).step_by(threads);
            let others: Vec<_> = (1..threads)
                .map(|n| scope.spawn(move || self.share(share(n))))
                .collect();
            let own = self.share(share(0));
            let others = others.into_iter().map(|other| match other.join() {
                Ok(share) => share,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            iter::once(own).chain(others).collect::<Vec<_>>()
        });
        let mut all = shares.swap_remove(0);
        for share in shares {
            all.add(share);
        }
        all.finish()
    }

    /// Whether both have the same rules about a kind of call, so that nothing can differ.
    fn is_same(&self, work: &Work) -> bool {
        let says = |a: &Rule, b: &Rule| {
            (&a.source, &a.target, &a.action) == (&b.source, &b.target, &b.action)
        };
        let mut pairs = work.old.iter().zip(&work.new);
        work.old.len() == work.new.len()
            && pairs.all(|(a, b)| says(self.old.rules[*a], self.new.rules[*b]))
    }

    fn share<'w>(&self, services: impl Iterator<Item = &'w &'w [Work]>) -> Share {
        let mut share = Share::default();
        let mut narrow: HashMap<Rectangle, Vec<u32>, RandomState> = HashMap::default();
        for service in services {
            for work in *service {
                for (key, columns, rows) in self.of_kind(work, &mut share.values) {
                    let rectangles = match self.is_wide(&key) {
                        true => &mut share.wide,
                        false => &mut narrow,
                    };
                    let rectangle = Rectangle { key, rows, columns };
                    rectangles.entry(rectangle).or_default().push(work.kind);
                }
            }
            share.narrow.extend(narrow.drain());
        }
        share.narrow.sort_unstable_by(in_order);
        share
    }

    /// Whether no rule about a single service has to do with it.
    fn is_wide(&self, key: &Key) -> bool {
        let every = |rule: Option<u32>, of: &Relation<'_>| {
            rule.is_none_or(|n| of.rules[n as usize].service == ServicePattern::Any)
        };
        every(key.old_rule, self.old) && every(key.new_rule, self.new)
    }

    /// The differences for one kind of call: how, which columns, which rows.
    fn of_kind(
        &self,
        work: &Work,
        values: &mut Values,
    ) -> impl Iterator<Item = (Key, Bits, Bits)> + use<> {
        let plane = self.plane;
        let mut rectangles: HashMap<(Key, Bits), Bits, RandomState> = HashMap::default();
        for row in 0..plane.rows.len() {
            let before = self.old.parts(&work.old, row, plane, values);
            let after = self.new.parts(&work.new, row, plane, values);
            for (key, columns) in of_row(&before, &after) {
                let rows = rectangles.entry((key, columns));
                let rows = rows.or_insert_with(|| Bits::none(plane.rows.len()));
                rows.insert(row);
            }
        }
        let rectangles = rectangles.into_iter();
        rectangles.map(|((key, columns), rows)| (key, columns, rows))
    }
}

fn of_row(before: &[Part], after: &[Part]) -> Vec<(Key, Bits)> {
    let mut changes: Vec<(Key, Bits)> = Vec::new();
    let number = |rule: Option<usize>| rule.map(|number| number as u32);
    for old in before {
        for new in after {
            if old.outcome == new.outcome || !old.columns.meets(&new.columns) {
                continue;
            }
            let key = Key {
                before: old.outcome,
                after: new.outcome,
                old_rule: number(old.rule),
                new_rule: number(new.rule),
            };
            let columns = old.columns.and(&new.columns);
            match changes.iter_mut().find(|(known, _)| *known == key) {
                Some((_, all)) => all.add(&columns),
                None => changes.push((key, columns)),
            }
        }
    }
    changes
}

/// What one thread has found for its share of the services.
#[derive(Default)]
struct Share {
    /// What can be found for one service only.
    narrow: Vec<(Rectangle, Vec<u32>)>,
    /// What others may find as well.
    wide: HashMap<Rectangle, Vec<u32>, RandomState>,
    values: Values,
}

impl Share {
    fn add(&mut self, other: Self) {
        let renumbered = self.values.add(other.values);
        let narrow = other.narrow.into_iter();
        self.narrow.extend(narrow.map(|(mut rectangle, kinds)| {
            rectangle.key.renumber(&renumbered);
            (rectangle, kinds)
        }));
        for (mut rectangle, kinds) in other.wide {
            rectangle.key.renumber(&renumbered);
            self.wide.entry(rectangle).or_default().extend(kinds);
        }
    }

    fn finish(self) -> Found {
        let mut rectangles = self.narrow;
        rectangles.extend(self.wide.into_iter().map(|(rectangle, mut kinds)| {
            kinds.sort_unstable();
            (rectangle, kinds)
        }));
        // It consists of sorted runs, which this sort merges.
        rectangles.sort_by(in_order);
        Found {
            rectangles,
            values: self.values,
        }
    }
}

impl Key {
    fn renumber(&mut self, renumbered: &Renumbered) {
        renumbered.apply(&mut self.before);
        renumbered.apply(&mut self.after);
    }
}

/// What lets more through comes first; the rest of the order is there so that the same policies
/// give the same answer.
fn in_order(
    (a, kinds_a): &(Rectangle, Vec<u32>),
    (b, kinds_b): &(Rectangle, Vec<u32>),
) -> Ordering {
    let opened = |key: &Key| openness(&key.before) - openness(&key.after);
    let order = opened(&a.key).cmp(&opened(&b.key));
    order.then_with(|| (kinds_a, &a.rows, &a.columns).cmp(&(kinds_b, &b.rows, &b.columns)))
}

fn openness(outcome: &Outcome) -> i8 {
    match outcome {
        Outcome::Allow { .. } => 2,
        Outcome::Ask { .. } => 1,
        Outcome::Deny { .. } => 0,
    }
}
