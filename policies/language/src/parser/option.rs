// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a rule does: the action and the options behind it, and the rule as a whole.

use bulkhead_policy_text::{Diagnostic, Word, nearest};

use super::Parser;
use super::field;
use crate::pattern::{ArgumentPattern, DomainPattern, Pattern, Redirect, ServicePattern};
use crate::rule::{Action, Options, Rule};

const ACTIONS: [&str; 3] = ["allow", "deny", "ask"];
const KEYS: [&str; 5] = ["target", "default_target", "user", "autostart", "notify"];
const FIELDS: [&str; 5] = [
    "a service",
    "an argument",
    "a source",
    "a target",
    "an action",
];
const SHAPE: &str = "a rule is `SERVICE ARGUMENT SOURCE TARGET ACTION [KEY=VALUE …]`";
const SHAPE_OF_SERVICE: &str =
    "a rule in a file of `!include-service` is `SOURCE TARGET ACTION [KEY=VALUE …]`";

fn is_action(word: Word<'_>) -> bool {
    ACTIONS.contains(&word.text)
}

#[derive(Default)]
struct Given {
    target: Option<Redirect>,
    default_target: Option<Redirect>,
    user: Option<Box<str>>,
    autostart: Option<bool>,
    notify: Option<bool>,
}

impl Parser<'_> {
    /// A rule that names its service.
    pub(super) fn rule(&mut self, words: &[Word<'_>]) {
        let [service_word, argument_word, _, _, _, ..] = words else {
            return self.too_short(words, &FIELDS, SHAPE);
        };
        let about = self.service_and_argument(*service_word, *argument_word);
        self.rule_end(about, words, &words[2..], SHAPE);
    }

    /// Which calls are meant, as a rule and `!include-service` say it.
    pub(super) fn service_and_argument(
        &mut self,
        service_word: Word<'_>,
        argument_word: Word<'_>,
    ) -> Option<(ServicePattern, ArgumentPattern)> {
        let service = self.checked(field::service(service_word));
        let argument = self.checked(field::argument(argument_word))?;
        if let (Some(ServicePattern::Any), ArgumentPattern::Exactly(_)) = (&service, &argument) {
            let error = argument_word.error("every service, but one argument");
            self.report(error.label("expected `*`").did_you_mean(Some("*".into())));
            return None;
        }
        Some((service?, argument))
    }

    /// A rule whose service was named by the directive that included its file.
    pub(super) fn rule_of_service(
        &mut self,
        service: ServicePattern,
        argument: ArgumentPattern,
        words: &[Word<'_>],
    ) {
        match words.len() {
            0..3 => self.too_short(words, &FIELDS[2..], SHAPE_OF_SERVICE),
            _ => self.rule_end(Some((service, argument)), words, words, SHAPE_OF_SERVICE),
        }
    }

    fn too_short(&mut self, words: &[Word<'_>], fields: &[&str], shape: &str) {
        let (Some(first), Some(last)) = (words.first(), words.last()) else {
            return;
        };
        let argument_missing = fields.len() == 5 && words.len() == 4 && is_action(words[3]);
        if argument_missing {
            let error = words[1].error("the rule has no argument");
            let fixed = format!("write `{} *` for any argument", words[0].text);
            let error = error.label("this is the source").note(shape).help(fixed);
            return self.report(error.code("fields"));
        }
        let missing = fields[words.len().min(fields.len() - 1)];
        let message = format!("expected {missing}, found the end of the line");
        let error = Diagnostic::error(first.span.to(last.span), message);
        let label = format!("{} of {} fields", words.len(), fields.len());
        self.report(error.label(label).note(shape).code("fields"));
    }

    /// Source, target, action and options; `words` is the whole rule, `rest` begins at the source.
    fn rule_end(
        &mut self,
        about: Option<(ServicePattern, ArgumentPattern)>,
        words: &[Word<'_>],
        rest: &[Word<'_>],
        shape: &str,
    ) {
        let [source_word, target_word, action_word, options @ ..] = rest else {
            return;
        };
        let source = self.checked(field::source(*source_word));
        let target = self.checked(field::target(*target_word));
        let action = self.action(*action_word, *target_word, target.as_ref(), options, shape);
        for (word, pattern) in [(source_word, &source), (target_word, &target)] {
            self.warn_impossible(*word, pattern.as_ref());
        }
        if let Some(Pattern::DispVmOf(_) | Pattern::DispVmTag(_)) = source {
            let message = "the rule never matches: a disposable that is asked for calls nobody";
            let warning = Diagnostic::warning(source_word.span, message);
            self.report(warning.help("running disposables are written `@type:DispVM`"));
        }
        if let (Some((service, argument)), Some(source), Some(target), Some(action)) =
            (about, source, target, action)
        {
            let (first, last) = (words[0], words[words.len() - 1]);
            let span = first.span.to(last.span);
            let location = self.out.sources.location(span);
            self.out.rules.push(Rule {
                location,
                span,
                service,
                argument,
                source,
                target,
                action,
            });
        }
    }

    /// A name that no domain can bear is most likely misspelt; it stays a rule that never
    /// matches, since others accept it.
    fn warn_impossible(&mut self, word: Word<'_>, pattern: Option<&Pattern>) {
        let domain: &DomainPattern = match pattern {
            Some(Pattern::Domain(domain) | Pattern::DispVmOf(domain)) => domain,
            _ => return,
        };
        if let Some(why) = domain.impossible() {
            let message = format!("no domain can be called `{domain}`: the rule never matches");
            self.report(Diagnostic::warning(word.span, message).note(why));
        }
    }

    fn action(
        &mut self,
        word: Word<'_>,
        target_word: Word<'_>,
        target: Option<&Pattern>,
        options: &[Word<'_>],
        shape: &str,
    ) -> Option<Action> {
        if !is_action(word) {
            let message = format!("expected `allow`, `deny` or `ask`, found `{}`", word.text);
            let error = word.error(message).label("not an action");
            self.report(error.note(shape).did_you_mean(nearest(word.text, ACTIONS)));
            return None;
        }
        let given = self.options(word, options)?;
        let common = Options {
            target: given.target,
            user: given.user,
            autostart: given.autostart.unwrap_or(true),
            notify: given.notify.unwrap_or(false),
        };
        match word.text {
            "deny" => Some(Action::Deny {
                notify: given.notify.unwrap_or(true),
            }),
            "ask" => Some(Action::Ask {
                options: common,
                default_target: given.default_target,
            }),
            _ if target == Some(&Pattern::Default) && common.target.is_none() => {
                let message = "the rule allows a call that names no target, and names none either";
                let error = target_word.error(message);
                self.report(error.help("add `target=DOMAIN`, or write `ask`"));
                None
            }
            _ => Some(Action::Allow(common)),
        }
    }

    /// All options of a rule; `None` after an error.
    fn options(&mut self, action: Word<'_>, words: &[Word<'_>]) -> Option<Given> {
        let mut given = Given::default();
        let mut seen: Vec<Word<'_>> = Vec::new();
        let mut sound = true;
        for word in words {
            if word.text.starts_with('#') {
                let error = word.error("a comment cannot follow a rule");
                self.report(error.help("put it on a line of its own"));
                return None;
            }
            let Some(equals) = word.text.find('=') else {
                let message = format!("expected `KEY=VALUE`, found `{}`", word.text);
                let likely = nearest(word.text, KEYS).map(|key| format!("{key}=…"));
                self.report(word.error(message).did_you_mean(likely));
                sound = false;
                continue;
            };
            let (key, value) = (word.until(equals), word.from(equals + 1));
            if let Some(first) = seen.iter().find(|first| first.text == key.text) {
                let message = format!("`{}=` is given twice", key.text);
                let error = key.error(message);
                self.report(error.note_at(first.span, "first here"));
                sound = false;
                continue;
            }
            seen.push(key);
            let outcome = given.take(action.text, key, value);
            sound &= self.checked(outcome).is_some();
        }
        sound.then_some(given)
    }
}

impl Given {
    fn take(&mut self, action: &str, key: Word<'_>, value: Word<'_>) -> Result<(), Diagnostic> {
        let takes: &[&str] = match action {
            "allow" => &["target", "user", "autostart", "notify"],
            "ask" => &KEYS,
            _ => &["notify"],
        };
        if !takes.contains(&key.text) {
            let message = match KEYS.contains(&key.text) {
                true => format!("`{action}` takes no `{}=`", key.text),
                false => format!("there is no option `{}=`", key.text),
            };
            let list = takes.join("=`, `");
            return Err(key
                .error(message)
                .note(format!("`{action}` takes `{list}=`"))
                .did_you_mean(nearest(key.text, takes.iter().copied())));
        }
        match key.text {
            "target" => self.target = Some(field::redirect(value)?),
            "default_target" => self.default_target = Some(field::redirect(value)?),
            "user" => self.user = Some(value.text).filter(|u| !u.is_empty()).map(Box::from),
            "autostart" => self.autostart = Some(truth(value)?),
            _ => self.notify = Some(truth(value)?),
        }
        Ok(())
    }
}

fn truth(word: Word<'_>) -> Result<bool, Diagnostic> {
    match word.text {
        "yes" => Ok(true),
        "no" => Ok(false),
        text => {
            let likely = match text.to_lowercase().as_str() {
                "true" | "1" | "on" => Some("yes".to_owned()),
                "false" | "0" | "off" => Some("no".to_owned()),
                _ => nearest(text, ["yes", "no"]),
            };
            let message = format!("expected `yes` or `no`, found `{text}`");
            Err(word.error(message).did_you_mean(likely))
        }
    }
}
