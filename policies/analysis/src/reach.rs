// SPDX-License-Identifier: GPL-3.0-or-later
//! Who reaches what by going through others, although its own settings say no.
//!
//! A call that is allowed unasked lets its caller act, or send what it has, in the callee; the
//! callee can do the same with its own calls; and a disposable is as free as a domain of its
//! template. Three kinds of ways are told:
//!
//! - `reaches-network`: a domain without network whose data gets to one that has it;
//! - `reaches-dom0`: a domain that controls, over others, what dom0 lets only them do;
//! - `reaches-offline`: a domain with network that controls, over others, one without.
//!
//! A rule that allows the last step itself is what its author wrote, and is not told, except
//! towards the network.

use std::collections::{HashMap, VecDeque};

use bulkhead_policy::{Diagnostic, Domain, Policy, System};
use bulkhead_types::DomainName;

use crate::kind::kinds_of;
use crate::outcome::{Outcome, Values};
use crate::plane::{DISPVM, Plane, Row};
use crate::relation::Relation;
use crate::services::{self, Power};

/// The domain that gives each one its network; `None` for one that has none. Domains that are
/// not in here are not looked at.
pub type Networks = HashMap<DomainName, Option<DomainName>>;

/// So many ways of one kind are told.
const TOLD_MAX: usize = 20;

/// Dom0's row.
const DOM0: usize = 0;

/// A call that is allowed unasked.
#[derive(Clone)]
struct Step {
    from: usize,
    to: usize,
    service: String,
    rule: usize,
}

pub(crate) fn findings(
    policy: &Policy,
    system: &System,
    networks: Option<&Networks>,
) -> Vec<Diagnostic> {
    let (system, made_from) = with_disposables(system);
    let plane = Plane::new(&system);
    let relation = Relation::new(policy, &plane);
    let steps = steps(&relation, &plane, &made_from);
    let templates: HashMap<_, _> = made_from.iter().map(|(base, made)| (made, base)).collect();
    let name = |row: &Row| match templates.get(&row.name) {
        Some(template) => format!("@dispvm:{template}"),
        None => row.name.to_string(),
    };
    let ways = Ways {
        relation: &relation,
        names: plane.rows.iter().map(name).collect(),
    };
    let is_made = |row: usize| templates.contains_key(&plane.rows[row].name);
    let rows = || (0..plane.rows.len()).filter(|row| !is_made(*row));
    let mut found = Vec::new();
    let control = by_caller(steps.iter().filter(|step| step.1 == Power::Control), &plane);
    let data = by_caller(steps.iter(), &plane);
    let dom0_ways = rows().filter(|row| *row != DOM0);
    let dom0_ways = dom0_ways.filter_map(|row| way(row, &control, |to| to == DOM0));
    for way in dom0_ways.filter(|way| way.len() > 1).take(TOLD_MAX) {
        found.push(ways.told("reaches-dom0", "controls dom0 over others", &way));
    }
    let Some(networks) = networks else {
        return found;
    };
    let origin = |row: usize| {
        let name = &plane.rows[row].name;
        templates.get(name).copied().unwrap_or(name)
    };
    let network = |row: usize| networks.get(origin(row)).map(Option::is_some);
    let offline = |row: &usize| *row != DOM0 && network(*row) == Some(false);
    let out = rows().filter(offline);
    let out = out.filter_map(|row| way(row, &data, |to| network(to) == Some(true)));
    for way in out.take(TOLD_MAX) {
        let what = "has no network, but its data can get there";
        found.push(ways.told("reaches-network", what, &way));
    }
    let online = rows().filter(|row| network(*row) == Some(true));
    let into = online.filter_map(|row| way(row, &control, |to| offline(&to) && !is_made(to)));
    for way in into.filter(|way| way.len() > 1).take(TOLD_MAX) {
        let what = "has network, and controls a domain without over others";
        found.push(ways.told("reaches-offline", what, &way));
    }
    found
}

/// The system with a disposable of each template, as it would be once started; by template.
fn with_disposables(system: &System) -> (System, HashMap<DomainName, DomainName>) {
    let mut domains: Vec<Domain> = system.domains().iter().map(|d| (**d).clone()).collect();
    let mut made_from = HashMap::new();
    for (number, template) in system.domains().iter().enumerate() {
        // A name that nobody bears; running disposables have fewer digits.
        let name = DomainName::parse(&format!("disp{:08}", 90_000_000 + number));
        let (true, Ok(name)) = (template.template_for_dispvms, name) else {
            continue;
        };
        made_from.insert(template.name.clone(), name.clone());
        domains.push(Domain {
            name,
            class: "DispVM".to_owned(),
            uuid: None,
            template_for_dispvms: false,
            power_state: "Running".to_owned(),
            ..(**template).clone()
        });
    }
    (System::new(domains), made_from)
}

/// Every call that is allowed unasked and gives its caller anything.
fn steps(
    relation: &Relation<'_>,
    plane: &Plane<'_>,
    made_from: &HashMap<DomainName, DomainName>,
) -> Vec<(Step, Power)> {
    let row_of: HashMap<&str, usize> = plane
        .rows
        .iter()
        .enumerate()
        .map(|(at, row)| (row.name.as_str(), at))
        .collect();
    // A disposable to be acts as the one that was made up for its template.
    let row_of_column = |column: usize| {
        let text = plane.text(column);
        match text.strip_prefix("@dispvm:") {
            Some(template) => {
                let template = DomainName::parse(template).ok()?;
                row_of.get(made_from.get(&template)?.as_str()).copied()
            }
            None => row_of.get(text.as_str()).copied(),
        }
    };
    let mut steps = Vec::new();
    let mut values = Values::default();
    for kind in kinds_of(&[relation]) {
        let Some(service) = &kind.service else {
            continue;
        };
        let power = services::power(service);
        if power == Power::Little {
            continue;
        }
        let about = relation.about(&kind);
        for row in 0..plane.rows.len() {
            for part in relation.parts(&about, row, plane, &mut values) {
                let (Outcome::Allow { to, .. }, Some(rule)) = (part.outcome, part.rule) else {
                    continue;
                };
                let columns: Vec<usize> = match to {
                    Some(to) => vec![to as usize],
                    None => part.columns.iter().collect(),
                };
                for column in columns {
                    let column = match column {
                        DISPVM => plane.rows[row].own.unwrap_or(DISPVM),
                        other => other,
                    };
                    if let Some(to) = row_of_column(column).filter(|to| *to != row) {
                        let service = service.clone();
                        let from = row;
                        steps.push((
                            Step {
                                from,
                                to,
                                service,
                                rule,
                            },
                            power,
                        ));
                    }
                }
            }
        }
    }
    steps
}

fn by_caller<'s>(
    steps: impl Iterator<Item = &'s (Step, Power)>,
    plane: &Plane<'_>,
) -> Vec<Vec<Step>> {
    let mut by_caller = vec![Vec::new(); plane.rows.len()];
    let mut seen = std::collections::HashSet::new();
    for (step, _) in steps {
        if seen.insert((step.from, step.to)) {
            by_caller[step.from].push(step.clone());
        }
    }
    by_caller
}

/// The shortest way from a row to one that is wanted. Dom0 is an end, never a means.
fn way(from: usize, steps: &[Vec<Step>], wanted: impl Fn(usize) -> bool) -> Option<Vec<Step>> {
    let mut came: HashMap<usize, Step> = HashMap::new();
    let mut queue = VecDeque::from([from]);
    while let Some(at) = queue.pop_front() {
        for step in &steps[at] {
            if step.to == from || came.contains_key(&step.to) {
                continue;
            }
            came.insert(step.to, step.clone());
            if wanted(step.to) {
                let mut way = vec![step.clone()];
                let mut at = step.from;
                while at != from {
                    let step = came[&at].clone();
                    at = step.from;
                    way.push(step);
                }
                way.reverse();
                return Some(way);
            }
            if step.to != DOM0 {
                queue.push_back(step.to);
            }
        }
    }
    None
}

struct Ways<'p> {
    relation: &'p Relation<'p>,
    /// How rows are called: `@dispvm:TEMPLATE` for what was made up.
    names: Vec<String>,
}

impl Ways<'_> {
    fn told(&self, code: &'static str, what: &str, way: &[Step]) -> Diagnostic {
        let first = self.relation.rules[way[0].rule];
        let source = self.names[way[0].from].as_str();
        let through = way.iter().map(|step| self.names[step.to].as_str());
        let names: Vec<_> = [source].into_iter().chain(through).collect();
        let message = format!("`{source}` {what}: {}", names.join(" → "));
        let mut warning = Diagnostic::warning(first.span, message).code(code);
        for step in way {
            let rule = self.relation.rules[step.rule];
            let (from, to) = (&self.names[step.from], &self.names[step.to]);
            let note = format!("{from} → {to} by {} ({})", step.service, rule.location);
            warning = warning.note_at(rule.span, note);
        }
        warning
    }
}
