// SPDX-License-Identifier: GPL-3.0-or-later
//! The story: a suspicious file opens in a disposable domain, framed in its colour.

mod copying;
mod daily;
mod desktop_shown;
mod disposable;
mod domains;
mod invoice;
mod stage;
mod terminals;
mod transcript;

pub use invoice::invoice;
pub use transcript::{StepReport, Transcript};

use crate::Machine;
use stage::Stage;

/// A step: what happens, as a sentence, and how.
type Step = (&'static str, fn(&mut Stage<'_>) -> anyhow::Result<()>);

const STEPS: [Step; 9] = [
    ("the domains of the story exist", domains::exist),
    ("work and untrusted start", terminals::start),
    (
        "a terminal of each is framed in its label's colour",
        terminals::framed,
    ),
    (
        "untrusted opens invoice.pdf in a disposable",
        disposable::opens,
    ),
    (
        "the viewer closes and the disposable is gone",
        disposable::vanishes,
    ),
    ("untrusted may not copy a file to work", copying::refused),
    ("work copies a file to personal", copying::arrives),
    (
        "ls shows every domain and run gives the guest's answer",
        daily::answers,
    ),
    (
        "the desktop shows three colours of frames",
        desktop_shown::shown,
    ),
];

/// Makes the story's domains and its policy, and leaves the rest to somebody else.
pub fn prepare(machine: &mut dyn Machine) -> anyhow::Result<()> {
    domains::exist(&mut Stage::new(machine))
}

/// Plays the story to its end or to the first step that fails. `watch` learns of each step
/// as soon as it is over.
pub fn play(machine: &mut dyn Machine, watch: &mut dyn FnMut(&StepReport)) -> Transcript {
    let mut transcript = Transcript::new(machine.name());
    let mut stage = Stage::new(machine);
    for (name, step) in STEPS {
        let report = stage.tell(name, step);
        watch(&report);
        let failed = report.failure.is_some();
        transcript.steps.push(report);
        if failed {
            break;
        }
    }
    transcript.picture = stage.picture.take();
    match machine.figures() {
        Ok(figures) => transcript.figures.extend(figures),
        Err(error) => {
            transcript
                .figures
                .insert("figures of the machine".into(), format!("none: {error:#}"));
        }
    }
    transcript
}
