// SPDX-License-Identifier: GPL-3.0-or-later
//! Step: the daily commands.

use std::time::Instant;

use anyhow::ensure;

use super::domains::{DOMAINS, TEMPLATE};
use super::stage::Stage;

/// Calls whose times are compared.
const CALLS: usize = 5;

pub(super) fn answers(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let table = stage.succeed(&["bulkhead", "ls"])?;
    for (name, label) in DOMAINS {
        let line = table
            .lines()
            .find(|line| line.split_whitespace().any(|word| word == name));
        let line = line.unwrap_or_default();
        let whole = line.contains(label.name()) && line.contains(TEMPLATE);
        ensure!(
            whole,
            "expected a line with {name}, {label} and {TEMPLATE} in\n{table}"
        );
    }
    stage.note(table.trim_end());

    let answer = stage.succeed(&["bulkhead", "run", "work", "--", "uname", "-a"])?;
    ensure!(
        answer.starts_with("Linux work "),
        "expected the answer of work, found {answer:?}"
    );
    stage.note(answer.trim_end());
    let output = stage.guest("work", &["sh", "-c", "echo out; echo err >&2; exit 42"])?;
    let found = (output.code, output.text(), output.complaint());
    ensure!(
        found.0 == 42 && found.1 == "out\n" && found.2.contains("err\n"),
        "expected 42, \"out\" and \"err\", found {found:?}"
    );
    stage.note("exit code 42 comes back as 42");

    let mut times = Vec::new();
    for _ in 0..CALLS {
        let began = Instant::now();
        stage.succeed(&["bulkhead", "run", "work", "--", "true"])?;
        times.push(began.elapsed());
    }
    times.sort();
    let median = times[CALLS / 2].as_secs_f64() * 1e3;
    stage.note(format!(
        "one call, whole command, median of {CALLS}: {median:.1} ms"
    ));
    Ok(())
}
