// SPDX-License-Identifier: GPL-3.0-or-later
//! Steps: a suspicious file opens in a disposable, which goes when its viewer is closed.

use std::time::Instant;

use anyhow::{Context, ensure};
use bulkhead_types::Label;

use super::domains::DISPOSABLE_BASE;
use super::invoice::invoice;
use super::stage::{Stage, expect_success};

const FILE: &str = "invoice.pdf";

pub(super) fn opens(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.put("untrusted", FILE, &invoice("Please pay at once"))?;
    let began = Instant::now();
    let open = [
        "bulkhead",
        "run",
        "untrusted",
        "--",
        "bulkhead-open",
        "--disposable",
        FILE,
    ];
    let command = stage.command(&open);
    let call = stage.machine.start(&command)?;
    let window = match stage.framed(None, FILE, Label::Red) {
        Ok(windows) => windows
            .into_iter()
            .next()
            .context("the probe named no window")?,
        Err(error) => {
            // What the caller was told says more than what the desktop did not show.
            let told = stage.machine.finish(call);
            let told = told.map_or_else(
                |e| format!("{e:#}"),
                |o| format!("{}: {}", o.code, o.complaint()),
            );
            return Err(error.context(format!("bulkhead-open ended with {told}")));
        }
    };
    let first_pixel = began.elapsed();
    stage.note(format!(
        "{:?} framed in red on four sides; {:.2} s from the request to the first pixel",
        window.title,
        first_pixel.as_secs_f64()
    ));
    let name = window.domain.clone();
    let disposable = stage.domain(&name)?;
    let found = disposable
        .as_ref()
        .map(|d| (d.class.as_str(), d.state.as_str(), d.template.as_deref()));
    let expected = Some(("DispVM", "Running", Some(DISPOSABLE_BASE)));
    ensure!(
        found == expected,
        "expected {name} to be {expected:?}, found {found:?}"
    );
    let volumes = volumes_of(stage, &name)?;
    ensure!(
        !volumes.is_empty(),
        "expected {name} to have volumes in the pool, found none"
    );
    stage.note(format!(
        "{name} runs on its own volumes: {}",
        volumes.join(", ")
    ));
    stage.opening = Some((call, window));
    Ok(())
}

pub(super) fn vanishes(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let (call, window) = stage.opening.take().context("no viewer was opened")?;
    let name = window.domain;
    stage.succeed(&["desktop-probe", "close", &window.id.to_string()])?;
    let output = stage.machine.finish(call)?;
    expect_success("bulkhead-open", &output)?;
    stage.note("the caller got exit code 0");

    let seconds = stage.machine.patience().as_secs().to_string();
    stage.succeed(&["desktop-probe", "gone", &name, &seconds])?;
    // Whoever asked for the disposable kills it after the call's end.
    stage.succeed(&["domain-probe", "gone", &name, &seconds])?;
    let left = stage.domain(&name)?;
    ensure!(left.is_none(), "expected {name} to be gone, found {left:?}");
    let volumes = volumes_of(stage, &name)?;
    ensure!(
        volumes.is_empty(),
        "expected no volume of {name}, found {volumes:?}"
    );
    stage.note(format!("{name} and its volumes are gone"));
    Ok(())
}

/// The files and folders of a domain in the pool.
fn volumes_of(stage: &mut Stage<'_>, name: &str) -> anyhow::Result<Vec<String>> {
    let pool = "\"${BULKHEAD_ROOT:-}/var/lib/bulkhead/pool\"";
    let script = format!("cd {pool} && find . -path '*{name}*' | sort");
    let found = stage.succeed(&["sh", "-c", &script])?;
    Ok(found.lines().map(str::to_owned).collect())
}
