// SPDX-License-Identifier: GPL-3.0-or-later
//! Step: the template, three domains and the template for disposables.

use anyhow::ensure;
use bulkhead_types::Label;

use super::stage::{Stage, expect_success};

pub(super) const TEMPLATE: &str = "debian-13-minimal";
pub(super) const DISPOSABLE_BASE: &str = "disp-base";

/// The domains and their labels.
pub(super) const DOMAINS: [(&str, Label); 4] = [
    ("work", Label::Blue),
    ("personal", Label::Green),
    ("untrusted", Label::Red),
    (DISPOSABLE_BASE, Label::Red),
];

/// The rules of the story's user: an example that is shipped.
const POLICY: &str = include_str!("../../../../policies/defaults/examples/30-user.policy");
pub(super) const POLICY_FILE: &str = "30-user.policy";

/// The line of the policy file that forbids copying from `untrusted`, counted from 1.
pub(super) fn denying_line() -> usize {
    let words = ["qubes.Filecopy", "*", "untrusted", "@anyvm", "deny"];
    let found = POLICY
        .lines()
        .position(|line| line.split_whitespace().eq(words));
    found.map_or(0, |line| line + 1)
}

pub(super) fn exist(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let script = format!("cat > \"${{BULKHEAD_ROOT:-}}/etc/bulkhead/policy.d/{POLICY_FILE}\"");
    let command = stage.command(&["sh", "-c", &script]).reading(POLICY);
    let output = stage.run(&command)?;
    expect_success(&command.line(), &output)?;

    if let Some(folder) = stage.machine.template_folder() {
        stage.succeed(&["bulkhead", "template", "install", TEMPLATE, &folder])?;
    }
    let there = stage.domains()?;
    for (name, label) in DOMAINS {
        if there.iter().any(|domain| domain.name == name) {
            continue;
        }
        let label = label.name();
        let mut argv = vec![
            "bulkhead",
            "create",
            name,
            "--template",
            TEMPLATE,
            "--label",
            label,
        ];
        if name == DISPOSABLE_BASE {
            argv.push("--for-disposables");
        }
        stage.succeed(&argv)?;
    }
    stage.succeed(&["bulkhead", "default", "disposable", DISPOSABLE_BASE])?;

    for (name, label) in DOMAINS {
        let domain = stage.domain(name)?;
        let found = domain
            .as_ref()
            .map(|d| (d.label.as_str(), d.template.as_deref()));
        let expected = Some((label.name(), Some(TEMPLATE)));
        ensure!(
            found == expected,
            "expected {name} to be {expected:?}, found {found:?}"
        );
        stage.note(format!("{name}: {label}, from {TEMPLATE}"));
    }
    Ok(())
}
