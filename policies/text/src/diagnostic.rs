// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with a policy, as data: the programs render it, this crate never does.

use std::fmt;

use crate::place::{SourceMap, Span};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The policy means something, but probably not what its author wanted.
    Warning,
    /// The policy does not go live.
    Error,
}

/// A sentence that adds to a diagnostic, perhaps about another place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The place, when the sentence is about one.
    pub span: Option<Span>,
    /// The sentence.
    pub message: String,
}

/// A way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Help {
    /// What to do.
    pub message: String,
    /// The text to put where the diagnostic points, when that alone repairs it.
    pub replacement: Option<String>,
}

/// One thing that is wrong, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where; `None` when it is about the set of files and no text.
    pub span: Option<Span>,
    /// A word for the kind of finding, which programs can rely on; lint has one, of syntax what
    /// others have to tell apart.
    pub code: Option<&'static str>,
    /// What, in one line, starting in lower case, without a full stop.
    pub message: String,
    /// What to write beside the caret; may be empty.
    pub label: String,
    /// What else to know; where an included file was included from comes last.
    pub notes: Vec<Note>,
    /// What to do about it.
    pub help: Option<Help>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            span: Some(span),
            code: None,
            message: message.into(),
            label: String::new(),
            notes: Vec::new(),
            help: None,
        }
    }

    /// An error about the set of files.
    pub fn global(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            span: None,
            code: None,
            message: message.into(),
            label: String::new(),
            notes: Vec::new(),
            help: None,
        }
    }

    /// A warning at a place.
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(span, message)
        }
    }

    /// With the word for its kind.
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// With words beside the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// With a further sentence.
    pub fn note(mut self, message: impl Into<String>) -> Self {
        let message = message.into();
        self.notes.push(Note {
            span: None,
            message,
        });
        self
    }

    /// With a further sentence about another place.
    pub fn note_at(mut self, span: Span, message: impl Into<String>) -> Self {
        let (span, message) = (Some(span), message.into());
        self.notes.push(Note { span, message });
        self
    }

    /// With advice.
    pub fn help(mut self, message: impl Into<String>) -> Self {
        self.help = Some(Help {
            message: message.into(),
            replacement: None,
        });
        self
    }

    /// With the text that should have been there, when there is a likely one.
    pub fn did_you_mean(mut self, likely: Option<String>) -> Self {
        if let Some(text) = likely {
            self.help = Some(Help {
                message: format!("did you mean `{text}`?"),
                replacement: Some(text),
            });
        }
        self
    }
}

/// A policy that does not go live: what is wrong, and the files it was read from.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// Everything that was found, errors and warnings, in the order of the text. Holds at
    /// least one error.
    pub diagnostics: Vec<Diagnostic>,
    /// The files, for showing lines and for knowing what to watch.
    pub sources: SourceMap,
}

impl Rejected {
    /// How many of the diagnostics are errors.
    pub fn errors(&self) -> usize {
        let errors = self.diagnostics.iter();
        errors.filter(|d| d.severity == Severity::Error).count()
    }
}

impl fmt::Display for Rejected {
    /// One line per diagnostic: `file:line:column: severity: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, diagnostic) in self.diagnostics.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            if let Some(span) = diagnostic.span {
                let at = self.sources.location(span);
                write!(f, "{}:{}:{}: ", at.file, at.line, at.column)?;
            }
            let severity = match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            write!(f, "{severity}: {}", diagnostic.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Rejected {}
