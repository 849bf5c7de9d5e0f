// SPDX-License-Identifier: GPL-3.0-or-later
//! All calls that can be made in a system, as a plane: a row for each caller, a column for
//! each target. A rule's source field is a set of rows and its target field one of columns.

use std::collections::HashMap;
use std::sync::Arc;

use bulkhead_policy::{
    Caller, Domain, DomainPattern, DomainRef, Pattern, Redirect, System, Target,
};
use bulkhead_types::DomainName;

use crate::bits::Bits;
use crate::matching::{means_caller, means_target};

/// Columns with a fixed place.
pub(crate) const DEFAULT: usize = 0;
pub(crate) const DOM0: usize = 1;
pub(crate) const DISPVM: usize = 2;
const FIXED: usize = 3;

/// A caller.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub name: DomainName,
    /// The column it is called by.
    pub column: usize,
    /// The column of its own disposables, if it has a default template that exists.
    pub own: Option<usize>,
}

/// What a target field means: columns, and the callers for whom it means `@dispvm`.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    pub set: Bits,
    pub own: Bits,
    /// Whether the list of `ask` takes `@dispvm` from it.
    pub lists_own: bool,
}

/// The calls of a system.
#[derive(Debug)]
pub(crate) struct Plane<'a> {
    pub system: &'a System,
    pub rows: Vec<Row>,
    columns: Vec<Target>,
    texts: Vec<Arc<str>>,
    /// All columns, sorted by their texts.
    pub by_text: Vec<usize>,
    domain_columns: HashMap<DomainName, usize>,
    disposable_columns: HashMap<DomainName, usize>,
    /// The targets that a call may name.
    pub valid: Bits,
    /// What has to be started first.
    pub starts: Bits,
    /// Disposables, among them the word `@dispvm`.
    pub unlisted: Bits,
    /// Remote domains, and those of them that cannot be reached.
    pub remote: Bits,
    pub unreachable: Bits,
    /// By column of a remote domain, that of its relay.
    pub relays: HashMap<usize, usize>,
}

impl<'a> Plane<'a> {
    pub fn new(system: &'a System) -> Self {
        let domains = || system.domains().iter().filter(|d| !d.name.is_dom0());
        let is_default = |template: &Domain| {
            let mut defaults = system.domains().iter().map(|d| &d.default_dispvm);
            defaults.any(|default| default.as_ref() == Some(&template.name))
        };
        let bases = system
            .domains()
            .iter()
            .filter(|d| d.template_for_dispvms || is_default(d));
        let mut columns = vec![Target::Default, Target::AdminVm, Target::DispVm];
        columns.extend(domains().cloned().map(|domain| Target::Domain {
            domain,
            by_uuid: false,
        }));
        columns.extend(bases.cloned().map(|template| Target::DispVmOf {
            template,
            by_uuid: false,
        }));
        let texts = columns.iter().map(|column| text_of(column).into());
        let texts: Vec<Arc<str>> = texts.collect();
        let mut by_text: Vec<usize> = (0..texts.len()).collect();
        by_text.sort_unstable_by_key(|at| &texts[*at]);
        let mut plane = Self {
            texts,
            by_text,
            system,
            rows: Vec::new(),
            domain_columns: HashMap::from([(DomainName::dom0(), DOM0)]),
            disposable_columns: HashMap::new(),
            valid: Bits::all(columns.len()),
            starts: Bits::none(columns.len()),
            unlisted: Bits::none(columns.len()),
            remote: Bits::none(columns.len()),
            unreachable: Bits::none(columns.len()),
            relays: HashMap::new(),
            columns,
        };
        plane.fill_columns();
        plane.fill_rows();
        plane
    }

    fn fill_columns(&mut self) {
        self.unlisted.insert(DEFAULT);
        self.unlisted.insert(DISPVM);
        self.starts.insert(DISPVM);
        for (at, column) in self.columns.iter().enumerate().skip(FIXED) {
            match column {
                Target::Domain { domain, .. } => {
                    self.domain_columns.insert(domain.name.clone(), at);
                    self.starts.set(at, !domain.is_running());
                    self.unlisted.set(at, domain.internal);
                    self.remote.set(at, domain.class == "RemoteVM");
                }
                Target::DispVmOf { template, .. } => {
                    self.disposable_columns.insert(template.name.clone(), at);
                    self.starts.insert(at);
                    self.unlisted.set(at, template.internal);
                    self.valid.set(at, template.template_for_dispvms);
                }
                _ => {}
            }
        }
        for at in self.remote.clone().iter() {
            let Target::Domain { domain, .. } = &self.columns[at] else {
                continue;
            };
            let relay = domain.relayvm.as_ref();
            let relay = relay.and_then(|name| self.system.get(name));
            match (relay, &domain.transport_rpc) {
                (Some(relay), Some(_)) => {
                    self.relays.insert(at, self.domain_columns[&relay.name]);
                }
                _ => self.unreachable.insert(at),
            }
        }
    }

    fn fill_rows(&mut self) {
        let dom0 = DomainName::dom0();
        let mut names: Vec<DomainName> = vec![dom0.clone()];
        let domains = self.system.domains().iter().map(|d| d.name.clone());
        names.extend(domains.filter(|name| !name.is_dom0()));
        for name in names {
            let domain = self.system.get(&name);
            let default = domain.and_then(|d| d.default_dispvm.as_ref());
            self.rows.push(Row {
                column: self.domain_columns[&name],
                own: default.and_then(|base| self.disposable_columns.get(base).copied()),
                name,
            });
        }
    }

    /// How many columns there are.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// The column of a target as text, such as a verdict names it: `dom0` for dom0.
    pub fn text(&self, at: usize) -> String {
        self.texts[at].to_string()
    }

    /// The same text, of which there is one for all.
    pub fn shared_text(&self, at: usize) -> Arc<str> {
        self.texts[at].clone()
    }

    /// The texts of all columns.
    pub fn shared_texts(&self) -> &[Arc<str>] {
        &self.texts
    }

    /// The callers that a source field means.
    pub fn rows_of(&self, pattern: &Pattern) -> Bits {
        let mut set = Bits::none(self.rows.len());
        if let Pattern::Domain(domain) = pattern {
            // Most rules name one.
            if let Some(found) = self.domain(domain) {
                let row = self.rows.iter().position(|row| row.name == found.name);
                row.into_iter().for_each(|at| set.insert(at));
            }
            return set;
        }
        for (at, row) in self.rows.iter().enumerate() {
            let reference = DomainRef::Name(row.name.clone());
            let caller = Caller::new(&reference, self.system);
            set.set(at, means_caller(pattern, &caller));
        }
        set
    }

    /// What a target field means.
    pub fn columns_of(&self, pattern: &Pattern) -> Columns {
        let mut set = Bits::none(self.width());
        match pattern {
            Pattern::Domain(domain) => {
                let found = self.domain(domain).map(|d| self.domain_columns[&d.name]);
                found.into_iter().for_each(|at| set.insert(at));
            }
            _ => {
                // Only the word `@dispvm` depends on who calls, and that is dealt with apart.
                let nobody = DomainRef::Name(DomainName::dom0());
                let nobody = Caller {
                    domain: None,
                    position: None,
                    ..Caller::new(&nobody, self.system)
                };
                for (at, column) in self.columns.iter().enumerate() {
                    set.set(at, means_target(pattern, column, &nobody, self.system));
                }
            }
        }
        let wide = set.has(DISPVM);
        set.remove(DISPVM);
        let mut own = Bits::none(self.rows.len());
        for (at, row) in self.rows.iter().enumerate() {
            own.set(at, wide || row.own.is_some_and(|own| set.has(own)));
        }
        // `@dispvm:@tag:` is about templates only; `@dispvm:NAME` also about a default that
        // is none, whose column no call can name.
        Columns {
            set: set.and(&self.valid),
            own,
            lists_own: wide,
        }
    }

    fn domain(&self, pattern: &DomainPattern) -> Option<&Arc<Domain>> {
        self.system
            .find(&DomainRef::parse(&pattern.to_string()).ok()?)
    }

    /// The column where `target=` sends the calls of a row.
    pub fn redirect(&self, redirect: &Redirect, row: &Row) -> Option<usize> {
        match redirect {
            Redirect::AdminVm => Some(DOM0),
            Redirect::DispVm => row.own,
            Redirect::Domain(domain) => {
                let found = self.domain(domain)?;
                self.domain_columns.get(&found.name).copied()
            }
            Redirect::DispVmOf(template) => {
                let found = self.domain(template).filter(|d| d.template_for_dispvms)?;
                self.disposable_columns.get(&found.name).copied()
            }
        }
    }
}

fn text_of(column: &Target) -> String {
    match column {
        Target::AdminVm => DomainName::DOM0.to_owned(),
        other => other.to_string(),
    }
}
