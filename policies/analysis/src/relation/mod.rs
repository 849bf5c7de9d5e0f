// SPDX-License-Identifier: GPL-3.0-or-later
//! What one policy decides for all calls of a system, a row at a time.
//!
//! A row (one caller, one kind of call) falls into a few parts with the same outcome each, so
//! that whole policies can be compared, searched and drawn without deciding each call.

mod parts;

use std::collections::HashMap;

use bulkhead_policy::{ArgumentPattern, Pattern, Policy, Rule, ServicePattern};

use crate::bits::Bits;
use crate::kind::Kind;
use crate::plane::{Columns, DISPVM, Plane};

pub(crate) use parts::Part;

/// One policy over a plane.
#[derive(Debug)]
pub(crate) struct Relation<'a> {
    pub rules: Vec<&'a Rule>,
    by_service: HashMap<&'a str, Vec<usize>>,
    any_service: Vec<usize>,
    /// What each source field means, and each target field; most stand in several rules.
    rows: Fields<'a, Bits>,
    columns: Fields<'a, Columns>,
}

/// What the fields of one kind mean, each once.
#[derive(Debug)]
struct Fields<'a, T> {
    numbers: HashMap<&'a Pattern, usize>,
    meanings: Vec<T>,
    /// The number of each rule's.
    of_rules: Vec<usize>,
}

impl<'a, T> Fields<'a, T> {
    fn new(fields: impl Iterator<Item = &'a Pattern>, meaning: impl Fn(&Pattern) -> T) -> Self {
        let mut all = Self {
            numbers: HashMap::new(),
            meanings: Vec::new(),
            of_rules: Vec::new(),
        };
        for field in fields {
            let number = *all.numbers.entry(field).or_insert_with(|| {
                all.meanings.push(meaning(field));
                all.meanings.len() - 1
            });
            all.of_rules.push(number);
        }
        all
    }

    fn of(&self, rule: usize) -> &T {
        &self.meanings[self.of_rules[rule]]
    }
}

impl<'a> Relation<'a> {
    pub fn new(policy: &'a Policy, plane: &Plane<'_>) -> Self {
        let rules: Vec<&Rule> = policy.rules().collect();
        let mut relation = Self {
            by_service: HashMap::new(),
            any_service: Vec::new(),
            rows: Fields::new(rules.iter().map(|r| &r.source), |f| plane.rows_of(f)),
            columns: Fields::new(rules.iter().map(|r| &r.target), |f| plane.columns_of(f)),
            rules: Vec::new(),
        };
        for (number, rule) in rules.iter().enumerate() {
            match &rule.service {
                ServicePattern::Any => relation.any_service.push(number),
                ServicePattern::Named(name) => {
                    relation.by_service.entry(name).or_default().push(number);
                }
            }
        }
        relation.rules = rules;
        relation
    }

    /// The kinds of calls that this policy tells apart, without those of a service or argument
    /// that no rule names.
    pub fn kinds(&self) -> Vec<(&'a str, Option<&'a str>)> {
        let mut kinds = Vec::new();
        for rule in &self.rules {
            if let ServicePattern::Named(service) = &rule.service {
                kinds.push((&**service, None));
                if let ArgumentPattern::Exactly(argument) = &rule.argument {
                    kinds.push((&**service, Some(&**argument)));
                }
            }
        }
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// The rules about a kind of call, in their order.
    pub fn about(&self, kind: &Kind) -> Vec<usize> {
        let named = kind.service.as_deref();
        let named = named.and_then(|service| self.by_service.get(service));
        let mut about: Vec<usize> = named.into_iter().flatten().copied().collect();
        about.retain(|number| match &self.rules[*number].argument {
            ArgumentPattern::Any => true,
            ArgumentPattern::Exactly(argument) => kind.argument.as_deref() == Some(argument),
        });
        about.extend(&self.any_service);
        about.sort_unstable();
        about
    }

    /// Whether a rule, one of [`Self::about`], is about a row.
    pub fn is_from(&self, number: usize, row: usize) -> bool {
        self.rows.of(number).has(row)
    }

    /// The first rule for each column of a row; the last part has none.
    pub fn deciding(
        &self,
        about: &[usize],
        row: usize,
        plane: &Plane<'_>,
    ) -> Vec<(Option<usize>, Bits)> {
        let mut open = plane.valid.clone();
        let mut parts = Vec::new();
        for number in about.iter().filter(|number| self.is_from(**number, row)) {
            let columns = self.columns.of(*number);
            let own = columns.own.has(row) && open.has(DISPVM);
            if own || columns.set.meets(&open) {
                let mut hits = columns.set.and(&open);
                hits.set(DISPVM, own);
                open.subtract(&hits);
                parts.push((Some(*number), hits));
                if open.is_empty() {
                    return parts;
                }
            }
        }
        parts.push((None, open));
        parts
    }
}
