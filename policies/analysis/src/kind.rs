// SPDX-License-Identifier: GPL-3.0-or-later
//! Kinds of calls: what the rules of some policies can tell apart by service and argument.

use crate::relation::Relation;

/// Calls that rules cannot tell apart by their service: a named one or any other, with a
/// named argument or any other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    /// The service; `None` for every one that no rule names.
    pub service: Option<String>,
    /// The argument with its `+`; `None` for every one that no rule of the service names.
    pub argument: Option<String>,
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
