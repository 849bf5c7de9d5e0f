// SPDX-License-Identifier: GPL-3.0-or-later
//! Shows diagnostics of a policy in the manner of the Rust compiler.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use bulkhead_policy::{Diagnostic, Severity, SourceMap, Span};

/// Nobody reads more at once, and a log should not have to hold them.
const SHOWN_MAX: usize = 100;

/// The diagnostics as text, one after the other, with the lines they are about.
///
/// `styled` adds the escape sequences for colours. Of a great many only the first are shown,
/// with how many more there are.
pub fn render(diagnostics: &[Diagnostic], sources: &SourceMap, styled: bool) -> String {
    let renderer = match styled {
        true => Renderer::styled(),
        false => Renderer::plain(),
    };
    let mut text = String::new();
    for diagnostic in diagnostics.iter().take(SHOWN_MAX) {
        text.push_str(&renderer.render(&groups(diagnostic, sources)));
        text.push_str("\n\n");
    }
    if let Some(more) = diagnostics.len().checked_sub(SHOWN_MAX).filter(|n| *n > 0) {
        text.push_str(&format!("{more} further errors and warnings are not shown"));
    }
    text.truncate(text.trim_end().len());
    text
}

fn groups<'a>(diagnostic: &'a Diagnostic, sources: &'a SourceMap) -> Vec<Group<'a>> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(diagnostic.message.as_str()));
    if let Some(span) = diagnostic.span {
        let mut annotation = AnnotationKind::Primary.span(range(span, sources));
        if !diagnostic.label.is_empty() {
            annotation = annotation.label(diagnostic.label.as_str());
        }
        group = group.element(snippet(span, sources).annotation(annotation));
    }
    let mut elsewhere = Vec::new();
    for note in &diagnostic.notes {
        match note.span {
            None => group = group.element(Level::NOTE.message(note.message.as_str())),
            Some(span) => elsewhere.push(
                Group::with_title(Level::NOTE.secondary_title(note.message.as_str())).element(
                    snippet(span, sources)
                        .annotation(AnnotationKind::Context.span(range(span, sources))),
                ),
            ),
        }
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.message.as_str()));
    }
    elsewhere.insert(0, group);
    elsewhere
}

/// The line that a span begins in.
fn snippet<'a>(
    span: Span,
    sources: &'a SourceMap,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let file = sources.file(span.file);
    let line = sources.location(span).line as usize;
    Snippet::source(&file.text[line_of(span, sources)])
        .path(&*file.name)
        .line_start(line)
}

/// Where in the file the line is that a span begins in, without its end.
fn line_of(span: Span, sources: &SourceMap) -> Range<usize> {
    let text = &*sources.file(span.file).text;
    let at = text.floor_char_boundary(span.start as usize);
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
    start..end
}

/// The part of that line to underline; no span goes over the end of one.
fn range(span: Span, sources: &SourceMap) -> Range<usize> {
    let line = line_of(span, sources);
    let within = |at: u32| (at as usize).clamp(line.start, line.end) - line.start;
    within(span.start)..within(span.end)
}

#[cfg(test)]
mod tests {
    use bulkhead_policy::Policy;

    use super::*;

    #[test]
    fn a_flood_of_errors_is_cut_and_counted() {
        let text = "s * work vault alow\n".repeat(5_000);
        let rejected = Policy::from_texts([("p", text.as_str())]).unwrap_err();
        let shown = render(&rejected.diagnostics, &rejected.sources, false);
        assert_eq!(shown.matches("did you mean `allow`?").count(), SHOWN_MAX);
        assert!(shown.ends_with("4900 further errors and warnings are not shown"));
        assert!(shown.contains("p:100:16"), "{shown}");
    }
}
