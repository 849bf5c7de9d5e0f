// SPDX-License-Identifier: GPL-3.0-or-later
//! Tests of a policy, in files `*.test` that stand beside it.
//!
//! ```text
//! # Domains the expectations are about, with their class.
//! domain work     AppVM  default_dispvm=disp-base tags=office,backed-up
//! domain disp-base AppVM template_for_dispvms halted
//!
//! # SOURCE -> TARGET  SERVICE[+ARGUMENT]  VERDICT [KEY=VALUE …]
//! work -> vault    qubes.Filecopy  deny
//! work -> @dispvm  qubes.OpenInVM  allow target=@dispvm:disp-base
//! work ->          qubes.Gpg       ask   default_target=vault targets=vault,work-gpg
//! ```
//!
//! A file that declares no domain is about those of the system it is checked in. Who calls has to
//! be one of the domains.
//!
//! Dom0 is there without being declared. A target may be left out, which asks for `@default`.
//! `target=` is about an `allow`; `default_target=` and `targets=` (all choices, with commas)
//! about an `ask`; `user=` and `autostart=` about both, and `notify=` about any verdict.
//!
//! `@anyvm`, `*`, `@tag:TAG` and `@type:CLASS` mean all domains of that kind, and none of their
//! calls to another may be decided otherwise: `@anyvm -> vault qubes.VMShell deny`.
#![expect(
    clippy::result_large_err,
    reason = "an error is made once and ends in a list; it is not passed up a hot path"
)]

mod declaration;
mod ends;

use bulkhead_policy::{
    Call, Diagnostic, DomainRef, Policy, Rejected, Requested, SourceMap, Span, System, Verdict,
    nearest,
};
use bulkhead_policy_text::{Word, words};
use bulkhead_types::Service;

use ends::End;

const VERDICTS: [&str; 3] = ["allow", "deny", "ask"];
const KEYS: [&str; 6] = [
    "target",
    "user",
    "autostart",
    "default_target",
    "targets",
    "notify",
];

/// One file of expectations.
#[derive(Clone, Debug)]
pub struct Expectations {
    /// The domains that the file declares; `None` when it declares none.
    system: Option<System>,
    lines: Vec<Expectation>,
    sources: SourceMap,
}

#[derive(Clone, Debug)]
struct Expectation {
    span: Span,
    source: End<DomainRef>,
    service: Service,
    target: End<Requested>,
    verdict: String,
    details: Vec<(String, String, Span)>,
}

impl Expectations {
    /// Reads a file of expectations.
    ///
    /// # Errors
    ///
    /// All lines that are none, at once.
    pub fn parse(name: &str, text: &str) -> Result<Self, Rejected> {
        let mut sources = SourceMap::default();
        let file = sources.add(name, text, None);
        let (mut diagnostics, mut lines) = (Vec::new(), Vec::new());
        let mut domains = vec![declaration::dom0()];
        let mut start = 0;
        for content in text.split_inclusive('\n') {
            let line = content.strip_suffix('\n').unwrap_or(content);
            let read = words(file, start, line).and_then(|words| match words.as_slice() {
                [] => Ok(()),
                [first, rest @ ..] if first.text == "domain" => {
                    domains.push(declaration::domain(*first, rest)?);
                    Ok(())
                }
                words => {
                    lines.push(expectation(words)?);
                    Ok(())
                }
            });
            diagnostics.extend(read.err());
            start += content.len();
        }
        if !diagnostics.is_empty() {
            return Err(Rejected {
                diagnostics,
                sources,
            });
        }
        Ok(Self {
            system: (domains.len() > 1).then(|| System::new(domains)),
            lines,
            sources,
        })
    }

    /// How many expectations there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether nothing is expected.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The file, for showing lines.
    pub fn sources(&self) -> &SourceMap {
        &self.sources
    }

    /// Holds a policy against the expectations; each one that it fails is an error.
    ///
    /// They are about the domains that the file declares, or, if it declares none, about
    /// those of `around`.
    pub fn check(&self, policy: &Policy, around: &System) -> Vec<Diagnostic> {
        let system = self.system.as_ref().unwrap_or(around);
        let lines = self.lines.iter();
        lines
            .filter_map(|line| fails(line, policy, system))
            .collect()
    }
}

fn fails(expected: &Expectation, policy: &Policy, system: &System) -> Option<Diagnostic> {
    let wrong = |message: String| {
        let way_out = "the domains that a file is about are declared in it: `domain NAME CLASS`";
        Some(Diagnostic::error(expected.span, message).note(way_out))
    };
    let callers = match expected.source.callers(system) {
        Ok(callers) => callers,
        Err(none) => return wrong(none),
    };
    let mut failed: Vec<(Call, Diagnostic)> = Vec::new();
    for source in callers {
        let targets = match expected.target.targets(&source, system) {
            Ok(targets) => targets,
            Err(none) => return wrong(none),
        };
        for target in targets {
            let call = Call {
                source: source.clone(),
                service: expected.service.clone(),
                target,
            };
            let error = call_fails(expected, &call, policy, system);
            failed.extend(error.map(|error| (call, error)));
        }
    }
    let more = failed.len().saturating_sub(1);
    let (call, error) = failed.into_iter().next()?;
    if matches!(
        (&expected.source, &expected.target),
        (End::One(_), End::One(_))
    ) {
        return Some(error);
    }
    let further = match more {
        0 => String::new(),
        1 => ", and for one other call".to_owned(),
        many => format!(", and for {many} other calls"),
    };
    let target = ends::told(&call.target);
    Some(error.note(format!("for {} -> {target}{further}", call.source)))
}

fn call_fails(
    expected: &Expectation,
    call: &Call,
    policy: &Policy,
    system: &System,
) -> Option<Diagnostic> {
    let verdict = policy.evaluate(system, call);
    let decided = match verdict.rule() {
        Some(rule) => format!("decided by {}: `{rule}`", rule.location),
        None => "no rule decided".to_owned(),
    };
    if verdict.word() != expected.verdict {
        let (wanted, found) = (&expected.verdict, verdict.word());
        let message = format!("expected `{wanted}`, the policy says `{found}`");
        let error = Diagnostic::error(expected.span, message).note(decided);
        return Some(match &verdict {
            Verdict::Deny(reason) => error.label(reason.denial().to_string()),
            _ => error,
        });
    }
    let wrong = |(key, wanted, span): &(String, String, Span)| {
        let found = detail(&verdict, key);
        let found = found.unwrap_or_else(|| "nothing".to_owned());
        let message = format!("expected `{key}={wanted}`, found `{found}`");
        let met = match key.as_str() {
            "targets" => sorted(&found) == sorted(wanted),
            _ => found == *wanted,
        };
        (!met).then(|| Diagnostic::error(*span, message).note(&*decided))
    };
    expected.details.iter().find_map(wrong)
}

/// The order in which a person lists choices is no matter.
fn sorted(names: &str) -> Vec<&str> {
    let mut names: Vec<_> = names.split(',').collect();
    names.sort_unstable();
    names
}

fn detail(verdict: &Verdict, key: &str) -> Option<String> {
    let yes_or_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    match (verdict, key) {
        (Verdict::Allow(grant), "target") => Some(grant.destination().to_string()),
        (Verdict::Allow(grant), "user") => grant.user().map(str::to_owned),
        (Verdict::Allow(grant), "autostart") => Some(yes_or_no(grant.autostart())),
        (Verdict::Allow(grant), "notify") => Some(yes_or_no(grant.notify())),
        (Verdict::Ask(_), "notify") => Some(yes_or_no(verdict.rule()?.action.notify())),
        (Verdict::Deny(reason), "notify") => Some(yes_or_no(reason.notify())),
        (Verdict::Ask(question), "default_target") => question.default().map(ToString::to_string),
        (Verdict::Ask(question), "user") => question.user().map(str::to_owned),
        (Verdict::Ask(question), "autostart") => Some(yes_or_no(question.autostart())),
        (Verdict::Ask(question), "targets") => {
            let choices = question.choices().iter().map(ToString::to_string);
            Some(choices.collect::<Vec<_>>().join(","))
        }
        _ => None,
    }
}

fn expectation(words: &[Word<'_>]) -> Result<Expectation, Diagnostic> {
    let span = words[0].span.to(words[words.len() - 1].span);
    let shape = || {
        Diagnostic::error(span, "expected `SOURCE -> TARGET SERVICE VERDICT`")
            .note("a domain is declared by `domain NAME CLASS`")
    };
    let wrong = |word: Word<'_>, why: String| Diagnostic::error(word.span, why);
    let (source, after) = match words {
        [source, arrow, after @ ..] if arrow.text == "->" => (*source, after),
        _ => return Err(shape()),
    };
    // Without a target, the verdict is the second word after the arrow.
    let no_target = after
        .get(1)
        .is_some_and(|word| VERDICTS.contains(&word.text));
    let (target, service, verdict, details) = match after {
        [service, verdict, details @ ..] if no_target => ("", *service, *verdict, details),
        [target, service, verdict, details @ ..] => (target.text, *service, *verdict, details),
        _ => return Err(shape()),
    };
    if !VERDICTS.contains(&verdict.text) {
        let message = format!(
            "expected `allow`, `deny` or `ask`, found `{}`",
            verdict.text
        );
        let error = Diagnostic::error(verdict.span, message);
        return Err(error.did_you_mean(nearest(verdict.text, VERDICTS)));
    }
    let mut pairs = Vec::new();
    for word in details {
        match word.text.split_once('=') {
            Some((key, value)) if KEYS.contains(&key) => {
                pairs.push((key.to_owned(), value.to_owned(), word.span));
            }
            other => {
                let key = other.map_or(word.text, |(key, _)| key);
                let message = format!("nothing can be expected of `{key}`");
                return Err(wrong(*word, message).did_you_mean(nearest(key, KEYS)));
            }
        }
    }
    Ok(Expectation {
        span,
        source: End::caller(source.text).map_err(|why| wrong(source, why))?,
        service: Service::parse(service.text).map_err(|e| wrong(service, e.to_string()))?,
        target: End::target(target).map_err(|why| wrong(words[2], why))?,
        verdict: verdict.text.to_owned(),
        details: pairs,
    })
}
