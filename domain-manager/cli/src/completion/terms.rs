// SPDX-License-Identifier: GPL-3.0-or-later
//! Terms that the ledger is asked with: `source=work`, `verdict=deny`.

use std::collections::BTreeSet;

use policy_ledger::{EVENT_NAMES, QUERY_KEYS};

use super::{Known, words};

impl Known<'_> {
    /// What may stand where a term does: the keys, and behind a key its values.
    pub(super) fn terms(&self, current: &str) -> BTreeSet<String> {
        let Some((key, _)) = current.split_once('=') else {
            return QUERY_KEYS.iter().map(|key| format!("{key}=")).collect();
        };
        let values = match key {
            "event" => words(&EVENT_NAMES),
            "generation" => self.generations(""),
            "grant" => self.grants(),
            "service" => self.services(),
            "source" => self.domains(),
            "target" => &self.domains() | &words(&["@default", "@dispvm", "dom0"]),
            "verdict" => words(&["allow", "deny"]),
            "what" => words(&[
                "apply",
                "forget",
                "grant",
                "grant-ended",
                "live",
                "quota",
                "rollback",
            ]),
            _ => BTreeSet::new(),
        };
        let terms = values.into_iter().map(|value| format!("{key}={value}"));
        terms.collect()
    }
}
