// SPDX-License-Identifier: MIT OR Apache-2.0
//! From text to rules. One error does not hide the next: every line is read for itself.
//!
//! ```text
//! file      = { line }
//! line      = blank | "#" … | directive | rule
//! rule      = SERVICE ARGUMENT SOURCE TARGET ACTION { KEY "=" VALUE }
//! directive = "!include" PATH | "!include-dir" PATH | "!include-service" SERVICE ARGUMENT PATH
//!           | "!compat-4.0"
//! ```
//!
//! A file named by `!include-service`, or found by `!compat-4.0`, has lines of an older form: `SOURCE TARGET ACTION
//! { KEY "=" VALUE }`, where commas count as blanks and `$` as `@`.
#![expect(
    clippy::result_large_err,
    reason = "an error is made once and ends in a list; it is not passed up a hot path"
)]

mod directive;
mod field;
mod option;

use bulkhead_policy_text::{Diagnostic, FileId, Severity, SourceMap, Span, Word};

use crate::files::{Includes, PolicyFile};
use crate::pattern::{ArgumentPattern, ServicePattern};
use crate::rule::Rule;

/// Files may include files this deep.
pub(crate) const INCLUDE_DEPTH_MAX: usize = 32;
/// Directives of one policy may bring in this many files in all.
pub(crate) const INCLUDED_FILES_MAX: usize = 4096;

/// What the files of a policy amount to.
#[derive(Default)]
pub(crate) struct Parsed {
    pub rules: Vec<Rule>,
    pub diagnostics: Vec<Diagnostic>,
    pub sources: SourceMap,
}

impl Parsed {
    pub(crate) fn has_errors(&self) -> bool {
        let mut severities = self.diagnostics.iter().map(|d| d.severity);
        severities.any(|s| s == Severity::Error)
    }
}

/// Reads files in the order in which they decide.
pub(crate) fn parse(files: &[PolicyFile], includes: &dyn Includes) -> Parsed {
    let mut parser = Parser {
        includes,
        directory: String::new(),
        open: Vec::new(),
        included: 0,
        out: Parsed::default(),
    };
    for file in files {
        parser.directory.clone_from(&file.directory);
        let path = crate::files::join(&file.directory, &file.name);
        parser.file(path, &file.text, None, &Form::Current);
    }
    parser.out
}

/// How the lines of a file are to be read.
#[derive(Clone)]
enum Form {
    /// Lines name their service.
    Current,
    /// Older lines; the including directive named the service.
    OfService(ServicePattern, ArgumentPattern),
}

struct Parser<'a> {
    includes: &'a dyn Includes,
    /// The directory of the file of the policy directories that is being read.
    directory: String,
    /// The paths of the files being read, outermost first.
    open: Vec<String>,
    included: usize,
    out: Parsed,
}

impl Parser<'_> {
    fn file(&mut self, path: String, text: &str, included_from: Option<Span>, form: &Form) {
        let id = self.out.sources.add(&path, text, included_from);
        self.open.push(path);
        let readable = match form {
            Form::Current => std::borrow::Cow::Borrowed(text),
            // Byte for byte, so that spans stay those of the text on the disk.
            Form::OfService(..) => text.replace('$', "@").replace(',', " ").into(),
        };
        let mut start = 0;
        for content in readable.split_inclusive('\n') {
            self.line(
                id,
                start,
                content.strip_suffix('\n').unwrap_or(content),
                form,
            );
            start += content.len();
        }
        self.open.pop();
    }

    fn line(&mut self, file: FileId, start: usize, content: &str, form: &Form) {
        let words = match bulkhead_policy_text::words(file, start, content) {
            Ok(words) => words,
            Err(diagnostic) => return self.report(diagnostic),
        };
        let Some(first) = words.first() else {
            return;
        };
        match form {
            Form::Current if first.text.starts_with('!') => self.directive(&words),
            Form::Current => self.rule(&words),
            Form::OfService(..) if first.text.starts_with(['!', '@']) && is_include(first) => {
                self.directive_of_service(&words, form);
            }
            Form::OfService(service, argument) => {
                self.rule_of_service(service.clone(), argument.clone(), &words);
            }
        }
    }

    /// Keeps a diagnostic, with the way by which its file was reached.
    fn report(&mut self, mut diagnostic: Diagnostic) {
        let mut at = diagnostic.span;
        while let Some(span) = at {
            at = self.out.sources.file(span.file).included_from;
            if let Some(directive) = at {
                let location = self.out.sources.location(directive);
                diagnostic = diagnostic.note_at(directive, format!("included from {location}"));
            }
        }
        self.out.diagnostics.push(diagnostic);
    }

    /// Keeps what went wrong in a field, if anything did.
    fn checked<T>(&mut self, parsed: Result<T, Diagnostic>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(diagnostic) => {
                self.report(diagnostic);
                None
            }
        }
    }
}

fn is_include(word: &Word<'_>) -> bool {
    word.text.starts_with('!') || word.text.starts_with("@include:")
}
