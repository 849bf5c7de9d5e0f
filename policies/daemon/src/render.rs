// SPDX-License-Identifier: GPL-3.0-or-later
//! Shows diagnostics of a policy in the manner of the Rust compiler.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use bulkhead_policy::{Diagnostic, Severity, SourceMap, Span};

/// The diagnostics as text, one after the other, with the lines they are about.
///
/// `styled` adds the escape sequences for colours.
pub fn render(diagnostics: &[Diagnostic], sources: &SourceMap, styled: bool) -> String {
    let renderer = match styled {
        true => Renderer::styled(),
        false => Renderer::plain(),
    };
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&renderer.render(&groups(diagnostic, sources)));
        text.push_str("\n\n");
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

fn snippet<'a>(
    span: Span,
    sources: &'a SourceMap,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let file = sources.file(span.file);
    Snippet::source(&*file.text).path(&*file.name)
}

/// The bytes to underline: a place at the end of a line still gets a caret.
fn range(span: Span, sources: &SourceMap) -> std::ops::Range<usize> {
    let text = &sources.file(span.file).text;
    let (start, end) = (span.start as usize, span.end as usize);
    match text.get(start..end) {
        Some(_) => start..end,
        None => 0..0,
    }
}
