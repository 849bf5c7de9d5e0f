// SPDX-License-Identifier: MIT OR Apache-2.0
//! Verdicts and diagnostics as text, for snapshots.

use bulkhead_policy::{Rejected, SourceMap, Span, Verdict};

/// A verdict in one line.
pub fn told(verdict: Verdict) -> String {
    match verdict {
        Verdict::Allow(grant) => {
            let mut text = format!("allow {}", grant.destination());
            if let Some(user) = grant.user() {
                text.push_str(&format!(" as {user}"));
            }
            text
        }
        Verdict::Ask(question) => {
            let choices = question.choices().iter().map(ToString::to_string);
            let mut text = format!("ask {}", choices.collect::<Vec<_>>().join(","));
            if let Some(default) = question.default() {
                text.push_str(&format!(" default {default}"));
            }
            text
        }
        Verdict::Deny(reason) => format!("deny: {reason}"),
    }
}

/// Diagnostics as plain lines: place, severity, message, then label, notes and help.
pub fn shown(rejected: &Rejected) -> String {
    let mut text = String::new();
    for d in &rejected.diagnostics {
        let alone = Rejected {
            diagnostics: vec![d.clone()],
            sources: rejected.sources.clone(),
        };
        text.push_str(&format!("{alone}\n"));
        if let Some(span) = d.span {
            text.push_str(&underlined(&rejected.sources, span, &d.label));
        }
        for note in &d.notes {
            text.push_str(&format!("  note: {}\n", note.message));
        }
        if let Some(help) = &d.help {
            text.push_str(&format!("  help: {}\n", help.message));
        }
    }
    text
}

fn underlined(sources: &SourceMap, span: Span, label: &str) -> String {
    let at = sources.location(span);
    let line = sources
        .file(span.file)
        .text
        .lines()
        .nth(at.line as usize - 1)
        .unwrap_or_default();
    let visible = |c: char| c == ' ' || c.is_alphanumeric() || c.is_ascii_punctuation();
    let line: String = line
        .chars()
        .map(|c| if visible(c) { c } else { '·' })
        .collect();
    let carets = "^".repeat(sources.text(span).chars().count().max(1));
    let indent = " ".repeat(at.column as usize - 1);
    format!("  | {line}\n  | {indent}{carets} {label}\n")
}
