// SPDX-License-Identifier: GPL-3.0-or-later
//! Where a new rule goes: before the first one that could decide one of its calls otherwise.

use bulkhead_policy::{ArgumentPattern, DomainPattern, Pattern, Policy, Rule, ServicePattern};
use thiserror::Error;

use crate::set::Set;

/// Where own rules belong when nothing else is said.
pub(crate) const OWN_RULES: &str = "30-user.policy";

/// Where somebody wants a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Wherever it takes effect; in this file if one is named.
    Effective(Option<String>),
    /// As the first rule of a file.
    First(String),
    /// As the last line of a file.
    Last(String),
    /// Before a line of a file.
    Before(String, usize),
    /// After a line of a file.
    After(String, usize),
}

/// Where a rule goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, by its path below the policy directory.
    pub file: String,
    /// The line before which it goes; one past the last line is the end.
    pub line: usize,
}

/// Why there is no place for a rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoPlace {
    /// A file is named that is not there.
    #[error("there is no `{0}` in the policy directory")]
    NoFile(String),
    /// A line is named that is not there.
    #[error("`{0}` has no line {1}")]
    NoLine(String, usize),
    /// The rule before which it has to go lies elsewhere.
    #[error("it has to go before {0}, which is not in the policy directory")]
    Elsewhere(String),
}

impl Place {
    /// The place for `rule` in a set, whose policy is `policy`.
    ///
    /// # Errors
    ///
    /// What is named is not there, or cannot be changed.
    pub fn of(set: &Set, policy: &Policy, rule: &Rule, wish: &Wish) -> Result<Self, NoPlace> {
        let text = |file: &str| {
            let text = set.text(file);
            text.ok_or_else(|| NoPlace::NoFile(file.to_owned()))
        };
        let at = |file: &str, line: usize| Self {
            file: file.to_owned(),
            line,
        };
        let line = |file: &str, line: usize| match (1..=text(file)?.lines().count()).contains(&line)
        {
            true => Ok(line),
            false => Err(NoPlace::NoLine(file.to_owned(), line)),
        };
        match wish {
            Wish::Before(file, number) => Ok(at(file, line(file, *number)?)),
            Wish::After(file, number) => Ok(at(file, line(file, *number)? + 1)),
            Wish::Last(file) => Ok(at(file, text(file)?.lines().count() + 1)),
            Wish::First(file) => {
                let lines = text(file)?.lines().map(str::trim);
                let first = lines
                    .enumerate()
                    .find(|(_, l)| !l.is_empty() && !l.starts_with('#'));
                let last = text(file)?.lines().count() + 1;
                Ok(at(file, first.map_or(last, |(n, _)| n + 1)))
            }
            Wish::Effective(named) => {
                let file = named.as_deref().unwrap_or(OWN_RULES);
                if named.is_some() {
                    text(file)?;
                }
                effective(set, policy, rule, file, named.is_some())
            }
        }
    }
}

/// Before the first rule that stands in the way: in `file`, or, unless it has to be that one, in
/// an earlier file.
fn effective(
    set: &Set,
    policy: &Policy,
    rule: &Rule,
    file: &str,
    only: bool,
) -> Result<Place, NoPlace> {
    let end = set.text(file).map_or(1, |text| text.lines().count() + 1);
    for other in policy.rules().filter(|other| contradicts(other, rule)) {
        let (top, line) = outermost(policy, other);
        let Some(inside) = set.inside(&top) else {
            return Err(NoPlace::Elsewhere(other.location.to_string()));
        };
        // Files are read in the byte order of their names.
        match (inside.cmp(file), only) {
            (std::cmp::Ordering::Equal, _) => {
                return Ok(Place {
                    file: file.to_owned(),
                    line,
                });
            }
            (std::cmp::Ordering::Less, false) => {
                return Ok(Place {
                    file: inside.to_owned(),
                    line,
                });
            }
            (std::cmp::Ordering::Less, true) => {}
            (std::cmp::Ordering::Greater, _) => break,
        }
    }
    Ok(Place {
        file: file.to_owned(),
        line: end,
    })
}

/// The file of the policy directory by which a rule came in, and the line there.
fn outermost(policy: &Policy, rule: &Rule) -> (String, usize) {
    let sources = policy.sources();
    let mut span = rule.span;
    while let Some(directive) = sources.file(span.file).included_from {
        span = directive;
    }
    let location = sources.location(span);
    (location.file.to_string(), location.line as usize)
}

/// Rules before `rule` that may decide some of its calls otherwise.
pub fn contradicting<'p>(policy: &'p Policy, rule: &Rule) -> Vec<&'p Rule> {
    let earlier = policy.rules().take_while(|other| other.span != rule.span);
    earlier.filter(|other| contradicts(other, rule)).collect()
}

/// Whether a rule may decide a call of another one, and otherwise. Domains that a tag or a class
/// means are not known here, so these may mean any.
fn contradicts(one: &Rule, other: &Rule) -> bool {
    let services = match (&one.service, &other.service) {
        (ServicePattern::Named(one), ServicePattern::Named(other)) => one == other,
        _ => true,
    };
    let arguments = match (&one.argument, &other.argument) {
        (ArgumentPattern::Exactly(one), ArgumentPattern::Exactly(other)) => one == other,
        _ => true,
    };
    services
        && arguments
        && one.action != other.action
        && meet(&one.source, &other.source)
        && meet(&one.target, &other.target)
}

/// Whether something may be meant by both patterns.
fn meet(one: &Pattern, other: &Pattern) -> bool {
    use DomainPattern::Name;
    use Pattern as P;
    match (one, other) {
        (P::Any, _) | (_, P::Any) => true,
        (P::AnyVm, other) | (other, P::AnyVm) => *other != P::AdminVm,
        (P::Tag(_), other) | (other, P::Tag(_)) => is_domain(other),
        (P::Type(class), other) | (other, P::Type(class)) => match other {
            P::Type(other) => class == other,
            P::AdminVm => **class == *"AdminVM",
            other => is_domain(other),
        },
        (P::Domain(Name(one)), P::Domain(Name(other))) => one == other,
        (P::Domain(_), P::Domain(_)) => true,
        (P::DispVmOf(Name(one)), P::DispVmOf(Name(other))) => one == other,
        (one, other) if is_disposable(one) && is_disposable(other) => true,
        (one, other) => one == other,
    }
}

fn is_domain(pattern: &Pattern) -> bool {
    matches!(
        pattern,
        Pattern::Domain(_) | Pattern::Tag(_) | Pattern::Type(_) | Pattern::AdminVm
    )
}

fn is_disposable(pattern: &Pattern) -> bool {
    matches!(
        pattern,
        Pattern::DispVm | Pattern::DispVmOf(_) | Pattern::DispVmTag(_)
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const DEFAULT: &str = "a * @anyvm @anyvm ask\n";

    fn placed(own: &str, rule: &str, wish: &Wish) -> Result<(String, usize), NoPlace> {
        let files = [
            ("10-first.policy", "!include include/x\nb * @tag:t c deny\n"),
            (OWN_RULES, own),
            ("90-default.policy", DEFAULT),
            ("include/x", "# More.\nc * work vault allow\n"),
        ];
        let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        let set = Set::new(Path::new("/p"), None, files.into());
        let policy = set.policy().unwrap();
        let alone = Policy::from_texts([("rule", rule)]).unwrap();
        let rule = alone.rules().next().unwrap();
        Place::of(&set, &policy, rule, wish).map(|place| (place.file, place.line))
    }

    fn effective(own: &str, rule: &str) -> (String, usize) {
        placed(own, rule, &Wish::Effective(None)).unwrap()
    }

    fn at(file: &str, line: usize) -> (String, usize) {
        (file.to_owned(), line)
    }

    #[test]
    fn nothing_in_the_way_means_the_end_of_the_users_own_file() {
        let own = "x * y z allow\n";
        assert_eq!(effective(own, "a * work vault allow"), at(OWN_RULES, 2));
        // The same decision is not in the way.
        assert_eq!(effective(own, "x * @anyvm z allow"), at(OWN_RULES, 2));
        assert_eq!(effective("", "a * work vault allow"), at(OWN_RULES, 1));
    }

    #[test]
    fn a_rule_goes_before_the_one_that_would_decide_otherwise() {
        let own = "q * y z allow\na * @tag:office @anyvm deny\n";
        assert_eq!(effective(own, "a * work vault allow"), at(OWN_RULES, 2));
        assert_eq!(effective(own, "a * @adminvm vault allow"), at(OWN_RULES, 2));
        assert_eq!(effective(own, "a * work @adminvm allow"), at(OWN_RULES, 3));
        assert_eq!(effective(own, "a * work @dispvm:d allow"), at(OWN_RULES, 2));
        assert_eq!(effective(own, "* * work c allow"), at("10-first.policy", 2));
    }

    #[test]
    fn in_an_earlier_file_if_need_be_and_before_the_directive_that_includes_the_rule() {
        assert_eq!(effective("", "b * work c allow"), at("10-first.policy", 2));
        assert_eq!(
            effective("", "c * work vault deny"),
            at("10-first.policy", 1)
        );
        let wish = Wish::Effective(Some("30-user.policy".to_owned()));
        assert_eq!(placed("", "b * work c allow", &wish), Ok(at(OWN_RULES, 1)));
    }

    #[test]
    fn a_place_that_is_named_has_to_be_there() {
        let own = "# Head.\n\nx * y z allow\n";
        let placed = |wish| placed(own, "a * b c allow", &wish);
        let file = || OWN_RULES.to_owned();
        assert_eq!(placed(Wish::First(file())), Ok(at(OWN_RULES, 3)));
        assert_eq!(placed(Wish::Last(file())), Ok(at(OWN_RULES, 4)));
        assert_eq!(placed(Wish::Before(file(), 3)), Ok(at(OWN_RULES, 3)));
        assert_eq!(placed(Wish::After(file(), 3)), Ok(at(OWN_RULES, 4)));
        assert_eq!(
            placed(Wish::After(file(), 4)),
            Err(NoPlace::NoLine(file(), 4))
        );
        let missing = || "no.policy".to_owned();
        assert_eq!(
            placed(Wish::Last(missing())),
            Err(NoPlace::NoFile(missing()))
        );
    }
}
