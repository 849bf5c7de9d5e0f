// SPDX-License-Identifier: GPL-3.0-or-later
//! A policy as a picture: callers on the left, what they may call in the middle, targets on
//! the right.
//!
//! A flow in the middle stands for every call of its services from each of its callers to each
//! of its targets, so that the picture says neither more nor less than the policy, apart from
//! calls of a domain to itself, which are refused anyway.

mod dot;
mod svg;

use std::collections::BTreeMap;

use bulkhead_policy::{Policy, System};
use bulkhead_types::{Color, Label};
use serde::Serialize;

use crate::bits::Bits;
use crate::kind::{Kind, kinds_of};
use crate::outcome::{Outcome, Values};
use crate::plane::Plane;
use crate::relation::Relation;
use crate::together::together;

/// A caller or a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Its name, or what many have in common.
    pub name: String,
    /// The colour of its label, as `#rrggbb`; grey for what is no one domain.
    pub color: String,
}

/// Calls of some services from some callers to some targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// The services, with an argument where rules tell it apart.
    pub services: Vec<String>,
    /// `allow` or `ask`.
    pub verdict: &'static str,
    /// Places in [`Graph::sources`].
    pub sources: Vec<usize>,
    /// Places in [`Graph::targets`].
    pub targets: Vec<usize>,
    /// What the caller asks for, where a rule sends the call elsewhere.
    pub asked: Option<String>,
}

/// What the picture shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Graph {
    /// On the left.
    pub sources: Vec<Node>,
    /// In the middle.
    pub edges: Vec<Edge>,
    /// On the right.
    pub targets: Vec<Node>,
}

/// What nodes of no one domain are drawn in.
const GREY: &str = "#8a8f98";

/// Verdict, place it is sent to, callers, and columns.
type Rectangle = (bool, Option<u32>, Bits, Bits);

impl Graph {
    /// Of a policy in a system. `wanted` picks the services; asked-for calls are left out if
    /// `ask` is not set.
    pub fn new(policy: &Policy, system: &System, wanted: impl Fn(&str) -> bool, ask: bool) -> Self {
        let plane = Plane::new(system);
        let relation = Relation::new(policy, &plane);
        let mut values = Values::default();
        let mut flows: BTreeMap<Rectangle, Vec<String>> = BTreeMap::new();
        for kind in kinds_of(&[&relation]) {
            if !wanted(kind.service.as_deref().unwrap_or("*")) {
                continue;
            }
            let mut rows: BTreeMap<(bool, Option<u32>, Bits), Bits> = BTreeMap::new();
            let about = relation.about(&kind);
            for row in 0..plane.rows.len() {
                for (key, columns) in shown(&relation, &about, row, &plane, &mut values, ask) {
                    let all = rows.entry((key.0, key.1, columns));
                    all.or_insert_with(|| Bits::none(plane.rows.len()))
                        .insert(row);
                }
            }
            for ((asks, to, columns), rows) in rows {
                flows
                    .entry((asks, to, rows, columns))
                    .or_default()
                    .push(named(&kind));
            }
        }
        let mut graph = Self::default();
        for ((asks, to, rows, columns), services) in flows {
            graph.add(asks, to, &rows, &columns, services, &plane);
        }
        graph
    }

    fn add(
        &mut self,
        asks: bool,
        to: Option<u32>,
        rows: &Bits,
        columns: &Bits,
        services: Vec<String>,
        plane: &Plane<'_>,
    ) {
        let asked = to.map(|_| common(columns, plane).join(", "));
        let targets = match to {
            Some(to) => vec![plane.text(to as usize)],
            None => common(columns, plane),
        };
        let domains: Bits = callers_as_columns(rows, plane);
        let sources = common(&domains, plane);
        let place = |nodes: &mut Vec<Node>, name: String| match nodes
            .iter()
            .position(|node| node.name == name)
        {
            Some(at) => at,
            None => {
                let color = color(&name, plane);
                nodes.push(Node { name, color });
                nodes.len() - 1
            }
        };
        let sources = sources
            .into_iter()
            .map(|name| place(&mut self.sources, name))
            .collect();
        let targets = targets
            .into_iter()
            .map(|name| place(&mut self.targets, name))
            .collect();
        self.edges.push(Edge {
            services,
            verdict: if asks { "ask" } else { "allow" },
            sources,
            targets,
            asked,
        });
    }
}

/// What of a row is shown: whether it asks, where it is sent, and the columns.
fn shown(
    relation: &Relation<'_>,
    about: &[usize],
    row: usize,
    plane: &Plane<'_>,
    values: &mut Values,
    ask: bool,
) -> Vec<((bool, Option<u32>), Bits)> {
    let own = plane.rows[row].column;
    let parts = relation.parts(about, row, plane, values);
    // The rule that would let the row call itself, if that were possible: with itself, the row
    // may call the same as other rows may.
    let loops = parts.iter().find(|part| part.columns.has(own));
    let loops = loops.filter(|part| matches!(part.outcome, Outcome::Deny { .. }));
    let itself = loops.and_then(|part| part.rule);
    let mut all: Vec<((bool, Option<u32>), Bits)> = Vec::new();
    for part in parts {
        let key = match part.outcome {
            Outcome::Deny { .. } => continue,
            Outcome::Ask { .. } if !ask => continue,
            Outcome::Ask { .. } => (true, None),
            Outcome::Allow { to, .. } => (false, to),
        };
        let mut columns = part.columns;
        if itself.is_some() && part.rule == itself {
            columns.insert(own);
        }
        match all.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => known.add(&columns),
            None => all.push((key, columns)),
        }
    }
    let alone = |columns: &Bits| columns.len() == 1 && columns.has(own);
    all.retain(|(key, columns)| key.1.is_some() || !alone(columns));
    all
}

fn callers_as_columns(rows: &Bits, plane: &Plane<'_>) -> Bits {
    let mut columns = Bits::none(plane.width());
    rows.iter()
        .for_each(|row| columns.insert(plane.rows[row].column));
    columns
}

/// The names of columns, in few words.
fn common(columns: &Bits, plane: &Plane<'_>) -> Vec<String> {
    let texts: Vec<(usize, String)> = plane.valid.iter().map(|at| (at, plane.text(at))).collect();
    let all: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
    let inside = |name: &str| {
        let at = texts.iter().find(|(_, text)| text == name);
        at.is_some_and(|(at, _)| columns.has(*at))
    };
    together(&all, inside)
}

fn color(name: &str, plane: &Plane<'_>) -> String {
    let domain = name.strip_prefix("@dispvm:").unwrap_or(name);
    let domains = plane.system.domains().iter();
    let label = domains
        .filter(|d| d.name.as_str() == domain)
        .map(|d| d.label.as_str())
        .next();
    let color = label.and_then(|text| match text.parse::<Label>() {
        Ok(label) => Some(label.color()),
        Err(_) => text.parse::<Color>().ok(),
    });
    match (color, name) {
        (Some(color), _) => color.to_string().replace("0x", "#"),
        (None, "dom0") => "#20232a".to_owned(),
        (None, _) => GREY.to_owned(),
    }
}

fn named(kind: &Kind) -> String {
    match (&kind.service, &kind.argument) {
        (Some(service), Some(argument)) => format!("{service}{argument}"),
        (Some(service), None) => service.clone(),
        (None, _) => "any other service".to_owned(),
    }
}
