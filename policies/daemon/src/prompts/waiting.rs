// SPDX-License-Identifier: GPL-3.0-or-later
//! How many questions wait for the user: a domain that asks without end fills its own places.

use std::collections::HashMap;

use bulkhead_types::DomainName;
use thiserror::Error;

use crate::state::Shared;

/// How many questions of one domain may wait.
const OF_ONE: usize = 8;
/// How many may wait in all.
const IN_ALL: usize = 64;

/// Why a question cannot wait.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Full {
    #[error("{OF_ONE} questions of `{0}` wait for the user already")]
    OfOne(DomainName),
    #[error("{IN_ALL} questions wait for the user already")]
    InAll,
}

/// The questions that wait, by who asked.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    by_source: HashMap<DomainName, usize>,
}

impl Waiting {
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.by_source.values().sum()
    }

    fn admit(&mut self, source: &DomainName) -> Result<(), Full> {
        if self.len() >= IN_ALL {
            return Err(Full::InAll);
        }
        let own = self.by_source.entry(source.clone()).or_default();
        if *own >= OF_ONE {
            return Err(Full::OfOne(source.clone()));
        }
        *own += 1;
        Ok(())
    }

    fn leave(&mut self, source: &DomainName) {
        if let Some(own) = self.by_source.get_mut(source) {
            *own -= 1;
            if *own == 0 {
                self.by_source.remove(source);
            }
        }
    }
}

/// The place of a question that waits.
pub(super) struct Place {
    state: Shared,
    source: DomainName,
}

/// Takes a place, if there is one.
pub(super) fn enter(state: &Shared, source: &DomainName) -> Result<Place, Full> {
    state.borrow_mut().waiting.admit(source)?;
    Ok(Place {
        state: state.clone(),
        source: source.clone(),
    })
}

impl Drop for Place {
    fn drop(&mut self) {
        self.state.borrow_mut().waiting.leave(&self.source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_fills_its_own_places_and_all_of_them_fill_the_rest() {
        let name = |text: &str| text.parse::<DomainName>().unwrap();
        let mut waiting = Waiting::default();
        let loud = name("loud");
        for _ in 0..OF_ONE {
            waiting.admit(&loud).unwrap();
        }
        assert_eq!(waiting.admit(&loud), Err(Full::OfOne(loud.clone())));
        for other in OF_ONE..IN_ALL {
            waiting.admit(&name(&format!("other{other}"))).unwrap();
        }
        assert_eq!(waiting.admit(&name("late")), Err(Full::InAll));
        waiting.leave(&loud);
        waiting.admit(&name("late")).unwrap();
        assert_eq!(waiting.len(), IN_ALL);
    }
}
