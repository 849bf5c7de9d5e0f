// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy add` and `remove`.

use bulkhead_policy::{Policy, Rule};
use clap::Args;
use policy_administration::{Place, Set, Wish, contradicting, insert_rule, remove_rule, rule_line};

use super::commit::{Change, Checked};
use super::{Changing, file, set};
use crate::client::Client;
use crate::failure::Failure;
use crate::list::print;
use crate::policy::source;

#[derive(Debug, Args)]
#[command(after_long_help = ADD_HELP)]
pub struct Add {
    /// The rule, in quotes: a shell takes `*` for files
    #[arg(required = true, value_name = "RULE")]
    words: Vec<String>,
    /// The file it goes into, such as `30-user`
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
    /// Put it before this line
    #[arg(
        long,
        value_name = "FILE:LINE",
        group = "place",
        conflicts_with = "file"
    )]
    before: Option<String>,
    /// Put it after this line
    #[arg(
        long,
        value_name = "FILE:LINE",
        group = "place",
        conflicts_with = "file"
    )]
    after: Option<String>,
    /// Put it before all other rules of the file
    #[arg(long, group = "place")]
    first: bool,
    /// Put it at the end of the file
    #[arg(long, group = "place")]
    last: bool,
    /// Write this above it, as a comment
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    changing: Changing,
}

const ADD_HELP: &str = "\
The first rule that matches a call decides it. Without an option, the rule goes where it takes
effect: before the first one that may decide one of its calls otherwise, or else to the end of
30-user.policy. With --file alone it stays in that file, and earlier rules that take calls from it
are named.";

#[derive(Debug, Args)]
pub struct Remove {
    /// The rule: its place as FILE:LINE, or its text in quotes
    #[arg(required = true, value_name = "RULE")]
    words: Vec<String>,
    /// Take the comment directly above out with it
    #[arg(long)]
    with_comment: bool,
    #[command(flatten)]
    changing: Changing,
}

/// The file that `--first` and `--last` mean when none is named.
const OWN_RULES: &str = "30-user";

pub fn add(client: &Client, asked: &Add) -> Result<u8, Failure> {
    let set = set(client, &asked.changing)?;
    let text = asked.words.join(" ");
    let alone = Policy::from_texts([("RULE", text.as_str())]);
    let alone = alone.map_err(|rejected| source::invalid_text("the rule", &rejected))?;
    let rule = match (alone.rules().next(), alone.rules().len()) {
        (Some(rule), 1) => rule,
        _ => return Err(Failure::new("this is not one rule").usage()),
    };
    let policy = set
        .policy()
        .map_err(|rejected| source::invalid(&rejected))?;
    let place = Place::of(&set, &policy, rule, &wish(&set, asked)?)
        .map_err(|error| Failure::new("there is no place for the rule").because(&error))?;
    let comment = asked.comment.iter().flat_map(|comment| comment.lines());
    let mut lines: String = comment.map(|line| format!("# {line}\n")).collect();
    lines.push_str(&text);
    let before = set.text(&place.file).unwrap_or_default();
    let changed = insert_rule(before, place.line, &lines);
    let change = Change {
        before: &set,
        path: &place.file,
        text: &changed,
    };
    let checked = change.check(client)?;
    print(&told(&checked, &place.file, &text))?;
    checked.commit(client, &asked.changing)
}

fn wish(set: &Set, asked: &Add) -> Result<Wish, Failure> {
    let file = asked.file.as_deref();
    let named = || file::existing(set, file.unwrap_or(OWN_RULES));
    Ok(match (&asked.before, &asked.after) {
        (Some(place), _) => {
            let (file, line) = file::place(set, place)?;
            Wish::Before(file, line)
        }
        (_, Some(place)) => {
            let (file, line) = file::place(set, place)?;
            Wish::After(file, line)
        }
        _ if asked.first => Wish::First(named()?),
        _ if asked.last => Wish::Last(named()?),
        _ => Wish::Effective(file.map(|_| named()).transpose()?),
    })
}

/// Where the rule stands now, and which rules before it take calls from it.
fn told(checked: &Checked<'_>, file: &str, text: &str) -> String {
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let sources = checked.policy.sources();
    let is_new = |rule: &&Rule| {
        checked.after.inside(&rule.location.file) == Some(file)
            && words(sources.text(rule.span)) == words(text)
    };
    let Some(rule) = checked.policy.rules().find(is_new) else {
        return format!("The rule is in `{file}`, which no policy file includes.\n\n");
    };
    let mut told = format!("{}   {}\n", sources.text(rule.span), rule.location);
    for earlier in contradicting(&checked.policy, rule) {
        let text = sources.text(earlier.span);
        told.push_str(&format!("  after {text}   {}\n", earlier.location));
    }
    told.push('\n');
    told
}

pub fn remove(client: &Client, asked: &Remove) -> Result<u8, Failure> {
    let set = set(client, &asked.changing)?;
    let (path, line) = match asked.words.as_slice() {
        [place] if !place.contains(char::is_whitespace) => file::place(&set, place)?,
        words => find(&set, &words.join(" "))?,
    };
    let before = set.text(&path).unwrap_or_default();
    let Some(rule) = rule_line(before, line) else {
        return Err(Failure::new(format!(
            "there is no rule on line {line} of `{path}`"
        )));
    };
    let changed = remove_rule(before, line, asked.with_comment);
    print(&format!(
        "without {}   {path}:{line}\n\n",
        rule.words.join(" ")
    ))?;
    let change = Change {
        before: &set,
        path: &path,
        text: &changed,
    };
    change.check(client)?.commit(client, &asked.changing)
}

/// The one rule with these words.
fn find(set: &Set, text: &str) -> Result<(String, usize), Failure> {
    let words: Vec<_> = text.split_whitespace().collect();
    let mut places = Vec::new();
    for path in set.files().keys().filter(|path| !path.ends_with(".test")) {
        let text = set.text(path).unwrap_or_default();
        let lines = 1..=text.lines().count();
        let same = lines.filter(|line| rule_line(text, *line).is_some_and(|r| r.words == words));
        places.extend(same.map(|line| (path.clone(), line)));
    }
    match places.as_slice() {
        [place] => Ok(place.clone()),
        [] => Err(
            Failure::new(format!("there is no rule `{}`", words.join(" ")))
                .hint("name it by its place: FILE:LINE"),
        ),
        several => {
            let places: Vec<_> = several.iter().map(|(f, n)| format!("{f}:{n}")).collect();
            Err(
                Failure::new(format!("the rule stands at {}", places.join(", ")))
                    .hint("name the place of the one that is meant"),
            )
        }
    }
}
