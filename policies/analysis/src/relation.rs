// SPDX-License-Identifier: GPL-3.0-or-later
//! What one policy decides for all calls of a system, a row at a time.
//!
//! A row (one caller, one kind of call) falls into a few parts with the same outcome each, so
//! that whole policies can be compared, searched and drawn without deciding each call.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use foldhash::fast::RandomState;

use bulkhead_policy::{
    Action, ArgumentPattern, Options, Pattern, Policy, Redirect, Rule, ServicePattern,
};

use crate::bits::Bits;
use crate::plane::{Columns, DEFAULT, DISPVM, Plane, Row};

/// Calls that rules cannot tell apart by their service: a named one or any other, with a
/// named argument or any other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    /// The service; `None` for every one that no rule names.
    pub service: Option<String>,
    /// The argument with its `+`; `None` for every one that no rule of the service names.
    pub argument: Option<String>,
}

/// What becomes of a call, as far as it can be compared between policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Deny {
        notify: bool,
    },
    /// `to` is a column; `None` where the call goes where it was meant to go.
    Allow {
        to: Option<u32>,
        terms: u32,
    },
    Ask {
        question: u32,
        terms: u32,
    },
}

/// How a call runs: the user, whether a halted target is started, whether the user is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Terms {
    pub user: Option<Box<str>>,
    pub autostart: bool,
    pub notify: bool,
}

/// The list that the user chooses from, with the caller itself, which is never offered (unless
/// it is all there is), and the column offered first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub choices: Bits,
    pub default: Option<usize>,
}

/// The values behind the numbers in outcomes; shared by what is to be compared.
#[derive(Debug, Default)]
pub(crate) struct Values {
    pub terms: Numbered<Terms>,
    pub questions: Numbered<Question>,
}

/// Values by number, each once.
#[derive(Debug)]
pub(crate) struct Numbered<T> {
    numbers: HashMap<T, u32, RandomState>,
    values: Vec<T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self {
            numbers: HashMap::default(),
            values: Vec::new(),
        }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Numbered<T> {
    pub fn of(&mut self, value: T) -> u32 {
        match self.numbers.entry(value) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let number = self.values.len() as u32;
                self.values.push(new.key().clone());
                *new.insert(number)
            }
        }
    }

    pub fn get(&self, number: u32) -> &T {
        &self.values[number as usize]
    }

    /// Takes other values as well; returns the number of each by the one it had.
    fn add(&mut self, other: Self) -> Vec<u32> {
        other
            .values
            .into_iter()
            .map(|value| self.of(value))
            .collect()
    }
}

impl Values {
    /// Takes other values as well.
    pub fn add(&mut self, other: Self) -> Renumbered {
        Renumbered {
            terms: self.terms.add(other.terms),
            questions: self.questions.add(other.questions),
        }
    }
}

/// The numbers of values that were added to others, by those they had before.
pub(crate) struct Renumbered {
    terms: Vec<u32>,
    questions: Vec<u32>,
}

impl Renumbered {
    pub fn apply(&self, outcome: &mut Outcome) {
        match outcome {
            Outcome::Deny { .. } => {}
            Outcome::Allow { terms, .. } => *terms = self.terms[*terms as usize],
            Outcome::Ask { question, terms } => {
                *question = self.questions[*question as usize];
                *terms = self.terms[*terms as usize];
            }
        }
    }
}

/// A part of a row: the columns, what becomes of calls to them, and the rule that decides.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub columns: Bits,
    pub outcome: Outcome,
    pub rule: Option<usize>,
}

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

    /// What becomes of each call of a row.
    pub fn parts(
        &self,
        about: &[usize],
        row: usize,
        plane: &Plane<'_>,
        values: &mut Values,
    ) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut listed = None;
        for (rule, columns) in self.deciding(about, row, plane) {
            let mut part = |columns: Bits, outcome| {
                if !columns.is_empty() {
                    parts.push(Part {
                        columns,
                        outcome,
                        rule,
                    });
                }
            };
            match rule.map(|number| &self.rules[number].action) {
                None => part(columns, Outcome::Deny { notify: true }),
                Some(Action::Deny { notify }) => part(columns, Outcome::Deny { notify: *notify }),
                Some(Action::Allow(options)) => {
                    allow(options, columns, &plane.rows[row], plane, values, part);
                }
                Some(Action::Ask {
                    options,
                    default_target,
                }) => {
                    let row_of = &plane.rows[row];
                    let choices = match &options.target {
                        None => listed
                            .get_or_insert_with(|| self.list(about, row, plane))
                            .clone(),
                        Some(redirect) => {
                            let mut only = Bits::none(plane.width());
                            let column = plane.redirect(redirect, row_of);
                            column.into_iter().for_each(|at| only.insert(at));
                            only
                        }
                    };
                    let choices = match options.autostart {
                        true => choices,
                        false => choices.without(&plane.starts),
                    };
                    if choices.is_empty() {
                        part(columns, Outcome::Deny { notify: true });
                        continue;
                    }
                    let default = default_target.as_ref();
                    let default = default.and_then(|to| plane.redirect(to, row_of));
                    let default = default.filter(|at| choices.has(*at));
                    // Nobody is offered itself; with it, callers that are offered the same have
                    // the same list.
                    let mut choices = choices;
                    choices.insert(row_of.column);
                    let question = values.questions.of(Question { choices, default });
                    let terms = values.terms.of(terms(options));
                    part(columns, Outcome::Ask { question, terms });
                }
            }
        }
        parts
    }

    /// The columns that `ask` offers to a row.
    fn list(&self, about: &[usize], row: usize, plane: &Plane<'_>) -> Bits {
        let row_of = &plane.rows[row];
        let mut list = Bits::none(plane.width());
        for number in about
            .iter()
            .rev()
            .filter(|number| self.is_from(**number, row))
        {
            let rule = self.rules[*number];
            let columns = self.columns.of(*number);
            match (&rule.action, rule.action.redirect()) {
                (Action::Deny { .. }, _) => {
                    list.subtract(&columns.set);
                    if columns.own.has(row) {
                        list.remove(DISPVM);
                    }
                }
                (_, Some(Redirect::DispVm)) => list.insert(DISPVM),
                (_, Some(redirect)) => {
                    let column = plane.redirect(redirect, row_of);
                    column.into_iter().for_each(|at| list.insert(at));
                }
                (_, None) => {
                    list.add(&columns.set);
                    if columns.own.has(row) && columns.lists_own {
                        list.insert(DISPVM);
                    }
                }
            }
        }
        if list.has(DISPVM)
            && let Some(own) = row_of.own
        {
            list.insert(own);
        }
        list.remove(row_of.column);
        list.subtract(&plane.unlisted);
        list
    }
}

fn terms(options: &Options) -> Terms {
    Terms {
        user: options.user.clone(),
        autostart: options.autostart,
        notify: options.notify,
    }
}

/// Splits the columns that an `allow` decides by what becomes of them.
fn allow(
    options: &Options,
    columns: Bits,
    row: &Row,
    plane: &Plane<'_>,
    values: &mut Values,
    mut part: impl FnMut(Bits, Outcome),
) {
    let ours = values.terms.of(terms(options));
    // Who runs a service on another machine is not for us to say.
    let theirs = values.terms.of(Terms {
        user: None,
        ..terms(options)
    });
    let loops = |at: usize| at == row.column || plane.relays.get(&at) == Some(&row.column);
    let quiet = Outcome::Deny {
        notify: options.notify,
    };
    let deny = Outcome::Deny { notify: true };
    if let Some(redirect) = &options.target {
        let Some(to) = plane.redirect(redirect, row) else {
            return part(columns, deny);
        };
        if !options.autostart && plane.starts.has(to) {
            return part(columns, quiet);
        }
        if plane.unreachable.has(to) || loops(to) {
            return part(columns, deny);
        }
        let terms = if plane.remote.has(to) { theirs } else { ours };
        let mut straight = Bits::none(plane.width());
        straight.set(to, columns.has(to));
        straight.set(DISPVM, columns.has(DISPVM) && row.own == Some(to));
        part(
            columns.without(&straight),
            Outcome::Allow {
                to: Some(to as u32),
                terms,
            },
        );
        return part(straight, Outcome::Allow { to: None, terms });
    }
    let mut open = columns;
    let mut denied = Bits::none(plane.width());
    denied.insert(DEFAULT);
    denied.set(DISPVM, row.own.is_none());
    part(open.and(&denied), deny);
    open.subtract(&denied);
    if !options.autostart {
        part(open.and(&plane.starts), quiet);
        open.subtract(&plane.starts);
    }
    let mut denied = plane.unreachable.clone();
    denied.insert(row.column);
    let relayed = plane
        .relays
        .iter()
        .filter(|(_, relay)| **relay == row.column);
    relayed.for_each(|(at, _)| denied.insert(*at));
    part(open.and(&denied), deny);
    open.subtract(&denied);
    let remote = open.and(&plane.remote);
    open.subtract(&remote);
    part(
        remote,
        Outcome::Allow {
            to: None,
            terms: theirs,
        },
    );
    part(
        open,
        Outcome::Allow {
            to: None,
            terms: ours,
        },
    );
}

/// All kinds of calls that some policies tell apart, with the ones that none names.
pub(crate) fn kinds_of(relations: &[&Relation<'_>]) -> Vec<Kind> {
    let mut named: Vec<_> = relations.iter().flat_map(|r| r.kinds()).collect();
    named.sort_unstable();
    named.dedup();
    let mut kinds: Vec<Kind> = named
        .into_iter()
        .map(|(service, argument)| Kind {
            service: Some(service.to_owned()),
            argument: argument.map(str::to_owned),
        })
        .collect();
    kinds.push(Kind {
        service: None,
        argument: None,
    });
    kinds
}
