// SPDX-License-Identifier: GPL-3.0-or-later
//! Steps: policy refuses one copy and allows another.

use anyhow::ensure;

use super::domains::{POLICY_FILE, denying_line};
use super::stage::{Stage, expect_success};

/// Refused, as qrexec's clients report it.
const REFUSED: i32 = 126;

pub(super) fn refused(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.put("untrusted", "letter.txt", b"let me in\n")?;
    let output = stage.guest("untrusted", &["bulkhead-copy", "work", "letter.txt"])?;
    let told = output.complaint();
    let sentence = "untrusted could not copy files to work";
    ensure!(
        output.code == REFUSED && told.contains(sentence),
        "expected exit code {REFUSED} and {sentence:?}, found {} and {told:?}",
        output.code
    );
    stage.note(sentence);
    let arrived = stage.guest(
        "work",
        &["test", "-e", "QubesIncoming/untrusted/letter.txt"],
    )?;
    ensure!(arrived.code == 1, "expected no letter in work, found one");

    let explained = stage.succeed(&[
        "bulkhead",
        "policy",
        "explain",
        "untrusted",
        "work",
        "qubes.Filecopy",
    ])?;
    let place = format!("{POLICY_FILE}:{}", denying_line());
    ensure!(
        explained.contains(&place) && explained.contains("deny"),
        "expected the denying rule and `{place}`, found {explained}"
    );
    stage.note(explained.trim_end());
    Ok(())
}

pub(super) fn arrives(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    // Every byte value, and more than fits into one message.
    let content: Vec<u8> = (0..200_000u32).flat_map(|n| n.to_le_bytes()).collect();
    stage.put("work", "report.bin", &content)?;
    let output = stage.guest("work", &["bulkhead-copy", "personal", "report.bin"])?;
    expect_success("bulkhead-copy personal report.bin", &output)?;
    let before = stage.shell("work", "sha256sum < report.bin")?;
    let after = stage.shell("personal", "sha256sum < QubesIncoming/work/report.bin")?;
    ensure!(
        before == after,
        "expected the digest {before}, found {after}"
    );
    stage.note(format!(
        "{} bytes, SHA-256 {}",
        content.len(),
        after.trim_end_matches("  -\n")
    ));
    Ok(())
}
