// SPDX-License-Identifier: GPL-3.0-or-later
//! The parts of a row: what becomes of the calls that one rule decides, and what `ask` offers.

use bulkhead_policy::{Action, Options, Redirect};

use super::Relation;
use crate::bits::Bits;
use crate::outcome::{Outcome, Question, Terms, Values};
use crate::plane::{DEFAULT, DISPVM, Plane, Row};

/// A part of a row: the columns, what becomes of calls to them, and the rule that decides.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub columns: Bits,
    pub outcome: Outcome,
    pub rule: Option<usize>,
}

impl Relation<'_> {
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
