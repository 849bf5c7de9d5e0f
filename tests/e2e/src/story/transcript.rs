// SPDX-License-Identifier: GPL-3.0-or-later
//! What happened, for people.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::Picture;

/// One step of the story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepReport {
    /// What happens in it, as a sentence.
    pub name: &'static str,
    /// How long it took.
    pub time: Duration,
    /// What was done and seen, in order.
    pub seen: Vec<String>,
    /// What was expected and what was there instead, if it failed.
    pub failure: Option<String>,
}

/// The whole story.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// The machine it was played on.
    pub machine: String,
    /// Its steps; the last one failed if [`Self::passed`] is false.
    pub steps: Vec<StepReport>,
    /// Figures about the machine.
    pub figures: BTreeMap<String, String>,
    /// The desktop at the end.
    pub picture: Option<Picture>,
}

impl Transcript {
    pub(super) fn new(machine: String) -> Self {
        Self {
            machine,
            steps: Vec::new(),
            figures: BTreeMap::new(),
            picture: None,
        }
    }

    /// Whether every step went as it should.
    pub fn passed(&self) -> bool {
        !self.steps.is_empty() && self.steps.iter().all(|step| step.failure.is_none())
    }
}

impl fmt::Display for StepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.failure.is_some() {
            "FAILED"
        } else {
            "ok"
        };
        writeln!(
            f,
            "{:8.3} s  {:6}  {}",
            self.time.as_secs_f64(),
            verdict,
            self.name
        )?;
        for line in self.seen.iter().flat_map(|seen| seen.lines()) {
            writeln!(f, "                    {line}")?;
        }
        for line in self.failure.iter().flat_map(|failure| failure.lines()) {
            writeln!(f, "                  ! {line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "The story on {}", self.machine)?;
        self.steps.iter().try_for_each(|step| write!(f, "{step}"))?;
        for (name, value) in &self.figures {
            writeln!(f, "  {name}: {value}")?;
        }
        let total: Duration = self.steps.iter().map(|step| step.time).sum();
        let verdict = if self.passed() { "passed" } else { "failed" };
        writeln!(
            f,
            "{verdict} after {} steps in {:.1} s",
            self.steps.len(),
            total.as_secs_f64()
        )
    }
}
