// SPDX-License-Identifier: GPL-3.0-or-later
//! A table that a person can take in: callers that may do the same together, targets that are the
//! same to everybody together, and nobody who has nothing to do with anything.
//!
//! Nobody calls itself, so what a caller lacks in its own column alone makes it like no less.

use crate::kind::Kind;
use crate::together::together;
use crate::who::{Cell, Matrix};

/// A [`Matrix`] in which equal callers and equal targets are one.
#[derive(Clone, Debug)]
pub struct Grouped {
    /// The names of each group of callers, in few words.
    pub sources: Vec<Vec<String>>,
    /// The names of each group of targets, in few words.
    pub targets: Vec<Vec<String>>,
    /// By group of callers, by group of targets.
    pub cells: Vec<Vec<Cell>>,
    /// All targets, and which of them each group holds.
    names: Vec<String>,
    members: Vec<Vec<usize>>,
}

impl Grouped {
    /// What one group of callers may call, each list of services once, with its targets in few words.
    /// `of` picks what is allowed, or what is asked about.
    pub fn by_services<'g>(
        &'g self,
        row: usize,
        of: impl Fn(&'g Cell) -> &'g [Kind],
    ) -> Vec<(Vec<String>, &'g [Kind])> {
        let mut found: Vec<(Vec<usize>, &[Kind])> = Vec::new();
        for (cell, members) in self.cells[row].iter().zip(&self.members) {
            let kinds = of(cell);
            match found.iter_mut().find(|(_, known)| *known == kinds) {
                _ if kinds.is_empty() => {}
                Some((targets, _)) => targets.extend(members),
                None => found.push((members.clone(), kinds)),
            }
        }
        let told = |(members, kinds): (Vec<usize>, _)| (names(&self.names, &members), kinds);
        found.into_iter().map(told).collect()
    }
}

fn names(all: &[String], members: &[usize]) -> Vec<String> {
    let texts: Vec<&str> = all.iter().map(String::as_str).collect();
    together(&texts, |name| members.iter().any(|at| all[*at] == name))
}

/// Which lines are one, and what is in them.
struct Group<'m> {
    members: Vec<usize>,
    cells: Vec<Place<'m>>,
}

/// A place of the table.
#[derive(Clone, Copy)]
struct Place<'m> {
    cell: &'m Cell,
    /// Whether the caller is the target.
    own: bool,
}

impl Matrix {
    /// Without what is refused to all, and with equals in one.
    pub fn grouped(&self) -> Grouped {
        let rows = grouped(self.sources.iter().enumerate().map(|(row, source)| {
            let cells = self.targets.iter().zip(&self.cells[row]);
            let places = cells.map(|(target, cell)| Place {
                cell,
                own: target == source,
            });
            places.collect()
        }));
        let columns = grouped((0..self.targets.len()).map(|column| {
            let places = rows.iter().map(|row| row.cells[column]);
            places.collect()
        }));
        let cells = |row: usize| {
            let columns = columns.iter();
            columns
                .map(|column| column.cells[row].cell.clone())
                .collect()
        };
        let cells = (0..rows.len()).map(cells).collect();
        Grouped {
            sources: (rows.iter().map(|row| names(&self.sources, &row.members))).collect(),
            targets: (columns.iter().map(|at| names(&self.targets, &at.members))).collect(),
            cells,
            names: self.targets.clone(),
            members: columns.into_iter().map(|column| column.members).collect(),
        }
    }
}

/// Lines with the same cells as one, and none that is empty.
fn grouped<'m>(lines: impl Iterator<Item = Vec<Place<'m>>>) -> Vec<Group<'m>> {
    let mut groups: Vec<Group<'m>> = Vec::new();
    for (number, cells) in lines.enumerate() {
        if cells.iter().all(|place| *place.cell == Cell::default()) {
            continue;
        }
        let like = |group: &&mut Group<'_>| {
            let mut pairs = group.cells.iter().zip(&cells);
            pairs.all(|(one, other)| alike(*one, *other))
        };
        // Who differs from several in its own column alone goes where most are.
        let alike = groups.iter_mut().filter(like);
        match alike.max_by_key(|group| group.members.len()) {
            Some(group) => {
                group.members.push(number);
                for (known, place) in group.cells.iter_mut().zip(cells) {
                    if known.own {
                        *known = place;
                    }
                }
            }
            None => groups.push(Group {
                members: vec![number],
                cells,
            }),
        }
    }
    groups
}

fn alike(one: Place<'_>, other: Place<'_>) -> bool {
    match (one.own, other.own) {
        (true, false) => part_of(one.cell, other.cell),
        (false, true) => part_of(other.cell, one.cell),
        _ => one.cell == other.cell,
    }
}

fn part_of(part: &Cell, whole: &Cell) -> bool {
    part.allow.iter().all(|kind| whole.allow.contains(kind))
        && part.ask.iter().all(|kind| whole.ask.contains(kind))
}
