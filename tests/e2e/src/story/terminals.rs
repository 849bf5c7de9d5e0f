// SPDX-License-Identifier: GPL-3.0-or-later
//! Steps: two domains start, and a terminal of each is framed in its colour.

use anyhow::ensure;
use bulkhead_admin::StartReport;
use bulkhead_types::Label;

use super::stage::Stage;

const TERMINALS: [(&str, Label); 2] = [("work", Label::Blue), ("untrusted", Label::Red)];

pub(super) fn start(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.succeed(&["bulkhead", "start", "work", "untrusted"])?;
    for (name, _) in TERMINALS {
        let state = stage.domain(name)?.map(|domain| domain.state);
        ensure!(
            state.as_deref() == Some("Running"),
            "expected {name} to run, found {state:?}"
        );
        let report = stage.succeed(&["bulkhead", "report", name, "--json"])?;
        let report: StartReport = serde_json::from_str(&report)?;
        let stages = report.stages.iter();
        let stages = stages.map(|s| format!("{} {:.1} ms", s.stage, s.microseconds as f64 / 1e3));
        stage.note(format!("{name}: {}", stages.collect::<Vec<_>>().join(", ")));
    }
    Ok(())
}

pub(super) fn framed(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    for (name, label) in TERMINALS {
        open_terminal(stage, name, label)?;
    }
    Ok(())
}

/// Opens a terminal and waits until it is framed; it stays open.
pub(super) fn open_terminal(stage: &mut Stage<'_>, name: &str, label: Label) -> anyhow::Result<()> {
    let command = stage.command(&["bulkhead", "run", "--gui", name, "--", "xterm"]);
    let run = stage.machine.start(&command)?;
    stage.open.push(run);
    for window in stage.framed(Some(name), &format!("[{name}] "), label)? {
        let (title, width, height) = (&window.title, window.width, window.height);
        stage.note(format!(
            "{title:?}, {width}x{height}, framed in {label} ({})",
            label.color()
        ));
    }
    Ok(())
}
