// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines that bring in other files.

use bulkhead_policy_text::{Diagnostic, Span, Word, nearest};

use super::{Form, INCLUDE_DEPTH_MAX, INCLUDED_FILES_MAX, Parser};
use crate::files::{FileKind, Unreadable, join, old_file};
use crate::pattern::{ArgumentPattern, Pattern, ServicePattern};
use crate::rule::{Action, Rule};

const DIRECTIVES: [&str; 4] = [
    "!include",
    "!include-dir",
    "!include-service",
    "!compat-4.0",
];

impl Parser<'_> {
    pub(super) fn directive(&mut self, words: &[Word<'_>]) {
        let span = words[0].span.to(words[words.len() - 1].span);
        match words[0].text {
            "!include" => {
                if let [path] = self.parameters(words, span, &["PATH"]) {
                    self.include(*path, span, &Form::Current);
                }
            }
            "!include-dir" => {
                if let [path] = self.parameters(words, span, &["PATH"]) {
                    self.include_dir(*path, span);
                }
            }
            "!include-service" => {
                let parameters = self.parameters(words, span, &["SERVICE", "ARGUMENT", "PATH"]);
                if let [service, argument, path] = parameters {
                    self.include_service(*service, *argument, *path, span);
                }
            }
            "!compat-4.0" => {
                if words.len() > 1 {
                    let message = "`!compat-4.0` stands alone";
                    let surplus = words[1].span.to(words[words.len() - 1].span);
                    return self.report(Diagnostic::error(surplus, message));
                }
                self.old_files(span);
            }
            unknown => {
                let message = format!("there is no directive `{unknown}`");
                let error = words[0].error(message);
                self.report(error.did_you_mean(nearest(unknown, DIRECTIVES)));
            }
        }
    }

    /// A directive in a file of older form, which knows `!include PATH` and `$include:PATH`.
    pub(super) fn directive_of_service(&mut self, words: &[Word<'_>], form: &Form) {
        let span = words[0].span.to(words[words.len() - 1].span);
        let first = words[0];
        if self.out.sources.text(first.span).starts_with("$include:") {
            let path = first.from("$include:".len());
            match words {
                [_] if !path.text.is_empty() => self.include(path, span, form),
                [_, path] if first.text == "@include:" => self.include(*path, span, form),
                _ => self.report(Diagnostic::error(span, "expected `$include:PATH`")),
            }
        } else if first.text == "!include" {
            if let [path] = self.parameters(words, span, &["PATH"]) {
                self.include(*path, span, form);
            }
        } else {
            let message = format!(
                "`{}` cannot stand in a file of `!include-service`",
                first.text
            );
            self.report(Diagnostic::error(span, message).help("only `!include` can"));
        }
    }

    /// What follows the directive's name, if it is as much as it takes; else nothing.
    fn parameters<'w, 'a>(
        &mut self,
        words: &'w [Word<'a>],
        span: Span,
        names: &[&str],
    ) -> &'w [Word<'a>] {
        if words.len() == names.len() + 1 {
            return &words[1..];
        }
        let message = format!("expected `{} {}`", words[0].text, names.join(" "));
        let error = Diagnostic::error(span, message);
        let label = format!("{} words follow, not {}", words.len() - 1, names.len());
        self.report(error.label(label).code("parameters"));
        &[]
    }

    fn include_dir(&mut self, path: Word<'_>, span: Span) {
        let directory = join(&self.directory, path.text);
        let mut names = match self.includes.list(&directory) {
            Ok(names) => names,
            Err(why) => {
                let message = format!("cannot include the directory `{directory}`: {why}");
                return self.report(path.error(message));
            }
        };
        names.sort();
        for name in names {
            match FileKind::of(&name) {
                FileKind::Ignored => {}
                FileKind::BadName => {
                    let message = format!("`{directory}/{}` is badly named", name.escape_debug());
                    let error = path.error(message);
                    self.report(
                        error.help("policy files are named with `0-9`, `a-z`, `_`, `.`, `-`"),
                    );
                }
                FileKind::Policy => {
                    self.include_path(join(&directory, &name), span, &Form::Current)
                }
            }
        }
    }

    fn include_service(
        &mut self,
        service: Word<'_>,
        argument: Word<'_>,
        path: Word<'_>,
        span: Span,
    ) {
        if let Some((service, argument)) = self.service_and_argument(service, argument) {
            self.include(path, span, &Form::OfService(service, argument));
        }
    }

    /// `!compat-4.0`: the older files, one service each. What one says of an argument is the
    /// last word on it: two rules that deny the rest follow, as they always did silently.
    fn old_files(&mut self, span: Span) {
        let Some(directory) = self.includes.old_directory() else {
            let message = "`!compat-4.0` reads files that are not part of this policy";
            return self.report(Diagnostic::error(span, message));
        };
        let names = match self.includes.list(&directory) {
            Ok(names) => names,
            Err(Unreadable::Missing) => {
                let message = format!("there are no older files: `{directory}` does not exist");
                let warning = Diagnostic::warning(span, message);
                return self.report(warning.help("delete `!compat-4.0`; it does nothing"));
            }
            Err(why) => {
                let message = format!("cannot list the older files in `{directory}`: {why}");
                return self.report(Diagnostic::error(span, message));
            }
        };
        let mut files: Vec<_> = names
            .iter()
            .filter_map(|n| Some((old_file(n)?, n)))
            .collect();
        // By service; the arguments before the file for all others.
        files.sort_by_key(|((service, argument), _)| (*service, argument.is_none(), *argument));
        let own = std::mem::replace(&mut self.directory, directory.clone());
        for ((service, argument), name) in files {
            let service = ServicePattern::Named(service.into());
            let exactly = argument.map(|argument| ArgumentPattern::Exactly(argument.into()));
            let form = Form::OfService(
                service.clone(),
                exactly.clone().unwrap_or(ArgumentPattern::Any),
            );
            self.include_path(join(&directory, name), span, &form);
            if let Some(argument) = exactly {
                self.deny_the_rest(&service, &argument, span);
            }
        }
        self.directory = own;
    }

    /// The rules that end an older file about one argument; they stand nowhere, so the
    /// directive stands for them.
    fn deny_the_rest(&mut self, service: &ServicePattern, argument: &ArgumentPattern, span: Span) {
        for target in [Pattern::AnyVm, Pattern::AdminVm] {
            self.out.rules.push(Rule {
                location: self.out.sources.location(span),
                span,
                service: service.clone(),
                argument: argument.clone(),
                source: Pattern::AnyVm,
                target,
                action: Action::Deny { notify: true },
            });
        }
    }

    fn include(&mut self, path: Word<'_>, span: Span, form: &Form) {
        // `$` and `,` in a path of an older file were replaced before the words were cut.
        let written = self.out.sources.text(path.span).to_owned();
        self.include_path(join(&self.directory, &written), span, form);
    }

    fn include_path(&mut self, path: String, span: Span, form: &Form) {
        if let Some(first) = self.open.iter().position(|open| *open == path) {
            let message = format!("`{path}` includes itself");
            let way: Vec<_> = self.open[first..]
                .iter()
                .map(|p| format!("`{p}`"))
                .collect();
            let error = Diagnostic::error(span, message).label("here the circle closes");
            return self.report(error.note(format!("the circle: {} → `{path}`", way.join(" → "))));
        }
        self.included += 1;
        if self.open.len() > INCLUDE_DEPTH_MAX {
            let message = format!("files include files more than {INCLUDE_DEPTH_MAX} deep");
            return self.report(Diagnostic::error(span, message));
        }
        if self.included > INCLUDED_FILES_MAX {
            // One report is enough: what follows would be the same again.
            if self.included == INCLUDED_FILES_MAX + 1 {
                let message = format!("more than {INCLUDED_FILES_MAX} files are included");
                self.report(Diagnostic::error(span, message));
            }
            return;
        }
        match self.includes.read(&path) {
            Ok(text) => self.file(path, &text, Some(span), form),
            Err(why) => {
                let message = format!("cannot include `{path}`: {why}");
                self.report(Diagnostic::error(span, message).code("no-file"));
            }
        }
    }
}
