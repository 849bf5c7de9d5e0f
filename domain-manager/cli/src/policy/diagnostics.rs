// SPDX-License-Identifier: GPL-3.0-or-later
//! Diagnostics for programs. The names of the keys are promised.

use bulkhead_policy::{Diagnostic, Severity, SourceMap, Span};
use serde::Serialize;

/// One thing that is wrong, with its place.
#[derive(Serialize)]
pub struct DiagnosticText {
    /// `error` or `warning`.
    severity: &'static str,
    /// A word that stays the same when sentences change; null for an error.
    code: Option<&'static str>,
    /// What, in one line.
    message: String,
    /// Where; null when it is about the set of files.
    #[serde(flatten)]
    place: Place,
    /// What stands beside the caret.
    label: String,
    notes: Vec<NoteText>,
    /// What to do about it.
    help: Option<String>,
    /// What to put in the place, when that alone repairs it.
    replacement: Option<String>,
}

#[derive(Serialize)]
struct NoteText {
    message: String,
    #[serde(flatten)]
    place: Place,
}

/// Lines and columns are counted from 1, columns in characters; `end` is the column after.
#[derive(Default, Serialize)]
struct Place {
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    end: Option<u32>,
}

impl Place {
    fn new(span: Option<Span>, sources: &SourceMap) -> Self {
        let Some(span) = span else {
            return Self::default();
        };
        let at = sources.location(span);
        let length = sources.text(span).chars().count() as u32;
        Self {
            file: Some(at.file.to_string()),
            line: Some(at.line),
            column: Some(at.column),
            end: Some(at.column + length),
        }
    }
}

impl DiagnosticText {
    pub fn new(diagnostic: &Diagnostic, sources: &SourceMap) -> Self {
        let note = |note: &bulkhead_policy::Note| NoteText {
            message: note.message.clone(),
            place: Place::new(note.span, sources),
        };
        Self {
            severity: match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            code: diagnostic.code,
            message: diagnostic.message.clone(),
            place: Place::new(diagnostic.span, sources),
            label: diagnostic.label.clone(),
            notes: diagnostic.notes.iter().map(note).collect(),
            help: diagnostic.help.as_ref().map(|help| help.message.clone()),
            replacement: diagnostic.help.as_ref().and_then(|h| h.replacement.clone()),
        }
    }
}
