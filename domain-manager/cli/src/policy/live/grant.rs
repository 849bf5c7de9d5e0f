// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy grant`, `grants` and `revoke`: permissions with an end.

use std::fmt::Write as _;

use clap::{Args, ValueHint};
use policyd::control::{Answer, Request};
use policyd::{GrantRequest, GrantState, KeptState};
use serde::Serialize;

use super::control;
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};

#[derive(Debug, Args)]
#[command(after_long_help = GRANT_HELP)]
pub struct Grant {
    /// The domain that may call
    source: String,
    /// The domain that may be called: a name, dom0, @dispvm or @dispvm:NAME
    #[arg(value_hint = ValueHint::Other)]
    target: String,
    /// The service, with +ARGUMENT if it has one, or with +* for any argument
    service: String,
    /// For how long: 30s, 10m, 2h, 1d; a week at most
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    time: Option<u64>,
    /// For how many calls
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    uses: Option<u64>,
    /// Until the domain that may call stops
    #[arg(long)]
    while_running: bool,
}

const GRANT_HELP: &str = "\
At least one end has to be given; the first that comes counts. A grant comes before every rule, so
it allows what a rule denies or would ask for; where a rule allows the call anyway, no use of the
grant is taken. When its time is up, its source stops or it is revoked, nothing more is allowed, and
the calls that rest on it are ended: a service in dom0 is killed, a disposable that was made for the
call is destroyed, and of a call between two running domains the agents of both are told to end it.
One that obeys is enough. The record (`audit`) says where a domain has not confirmed the end: whoever
trusts neither of the two kills one of them. A grant does not survive a restart of the machine, and no
change of the clock prolongs it.";

pub const GRANTS_HELP: &str = "\
Beside the grants stand the answers of the user that still count. With --json both are in one array, and
`kind` tells them apart:

  grant    id, source, target, service; seconds, uses and while_running, the ends it was given, of
           which uses counts down; left, the seconds until its end, and until_ms, the same in
           milliseconds after the machine's start; by and since, who gave it and when; calls, the
           numbers of those that rest on it; run, with while_running, the number of its source's run
  answer   source, service; requested, whom the caller asks for; target, where such calls go, or
           null if they are refused; left, the seconds for which it counts, or null until the source
           stops";

#[derive(Debug, Args)]
pub struct Revoke {
    /// The number of the grant, as `grants` shows it
    #[arg(value_name = "GRANT")]
    number: Option<u64>,
    /// End all grants, and forget the answers of the user that still count
    #[arg(long, conflicts_with = "number")]
    all: bool,
}

fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "write a number and a unit: 30s, 10m, 2h, 1d".to_owned();
    let unit = match text.chars().next_back() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let longest = policyd::LONGEST_GRANT.as_secs();
    match number.checked_mul(unit) {
        Some(seconds @ 1..) if seconds <= longest => Ok(seconds),
        _ => Err("a grant is for at least a second and at most a week".to_owned()),
    }
}

pub fn grant(client: &Client, asked: &Grant, json: bool) -> Result<u8, Failure> {
    let endless = asked.time.is_none() && asked.uses.is_none() && !asked.while_running;
    if endless {
        return Err(Failure::new("a grant needs an end")
            .hint("give --for TIME, --uses NUMBER or --while-running; a rule in a policy file has none")
            .usage());
    }
    let request = Request::Grant(GrantRequest {
        source: asked.source.clone(),
        target: asked.target.clone(),
        service: asked.service.clone(),
        seconds: asked.time,
        uses: asked.uses,
        while_running: asked.while_running,
    });
    let Answer::Granted(granted) = control::ask(client, &request)? else {
        return Err(control::senseless());
    };
    if json {
        print_json(&granted)?;
    } else {
        let id = granted.id;
        print(&format!(
            "Granted: {}\nTo end it: `bulkhead policy revoke {id}`\n",
            told(&granted)
        ))?;
    }
    Ok(0)
}

/// What is allowed or refused for a while, as JSON: `kind` is `grant` or `answer`, beside the fields of
/// either.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Permission {
    Grant(GrantState),
    Answer(KeptState),
}

pub fn grants(client: &Client, json: bool) -> Result<u8, Failure> {
    let Answer::Grants(grants) = control::ask(client, &Request::Grants)? else {
        return Err(control::senseless());
    };
    let Answer::KeptAnswers(answers) = control::ask(client, &Request::KeptAnswers)? else {
        return Err(control::senseless());
    };
    if json {
        let grants = grants.into_iter().map(Permission::Grant);
        let answers = answers.into_iter().map(Permission::Answer);
        print_json(&grants.chain(answers).collect::<Vec<_>>())?;
        return Ok(0);
    }
    let mut text = String::new();
    for grant in &grants {
        let _ = writeln!(text, "{}", told(grant));
    }
    for answer in &answers {
        let _ = writeln!(text, "{}", answered(answer));
    }
    if text.is_empty() {
        text.push_str("There are no grants.\n");
    }
    print(&text)?;
    Ok(0)
}

pub fn revoke(client: &Client, asked: &Revoke, json: bool) -> Result<u8, Failure> {
    if asked.number.is_none() && !asked.all {
        return Err(Failure::new("it is not said which grant")
            .hint("name its number, which `bulkhead policy grants` shows, or give --all")
            .usage());
    }
    let request = Request::Revoke { id: asked.number };
    let answer = control::ask(client, &request);
    let answer =
        answer.map_err(|failure| failure.hint_at_least("`bulkhead policy grants` lists them"))?;
    let Answer::Revoked {
        grants,
        calls,
        answers,
    } = &answer
    else {
        return Err(control::senseless());
    };
    if json {
        print_json(&answer)?;
    } else {
        let grants = match grants.len() {
            1 => "1 grant has ended".to_owned(),
            several => format!("{several} grants have ended"),
        };
        let answers = match answers {
            0 => String::new(),
            several => format!("; answers that count no more: {several}"),
        };
        print(&format!(
            "{grants}; calls that have to end: {calls}{answers}.\n"
        ))?;
    }
    Ok(0)
}

/// The grants that allow a call now; none if the daemon is away, which then allows nothing.
pub fn covering(client: &Client, source: &str, target: &str, service: &str) -> Vec<GrantState> {
    let request = Request::Covering {
        source: source.to_owned(),
        target: target.to_owned(),
        service: service.to_owned(),
    };
    match control::ask(client, &request) {
        Ok(Answer::Grants(grants)) => grants,
        _ => Vec::new(),
    }
}

/// A grant in one line.
pub fn told(grant: &GrantState) -> String {
    let GrantRequest {
        source,
        target,
        service,
        uses,
        while_running,
        ..
    } = &grant.request;
    let mut text = format!("{}  {source} -> {target} {service}", grant.id);
    if let Some(left) = grant.left {
        let _ = write!(text, "; ends in {}", span(left));
    }
    if let Some(uses) = uses {
        let _ = write!(text, "; uses left: {uses}");
    }
    if *while_running {
        let _ = write!(text, "; while {source} runs");
    }
    if !grant.calls.is_empty() {
        let _ = write!(text, "; calls under way: {}", grant.calls.len());
    }
    let _ = write!(text, "; by {}", grant.by);
    text
}

fn answered(answer: &KeptState) -> String {
    let KeptState {
        source,
        service,
        requested,
        target,
        left,
    } = answer;
    let said = match target {
        Some(target) if target == requested => "allowed by the user".to_owned(),
        Some(target) => format!("allowed by the user, to {target}"),
        None => "refused by the user".to_owned(),
    };
    let end = match left {
        Some(left) => format!("ends in {}", span(*left)),
        None => format!("while {source} runs"),
    };
    format!("answer  {source} -> {requested} {service}; {end}; {said}")
}

/// A time in the two largest units it has.
fn span(seconds: u64) -> String {
    let (days, hours) = (seconds / 86400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} min {rest} s"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_the_user_is_told_from_a_grant() {
        let answer = Permission::Answer(KeptState {
            source: "work".into(),
            service: "qubes.Gpg".into(),
            requested: "vault".into(),
            target: None,
            left: Some(9),
        });
        assert_eq!(
            serde_json::to_value(answer).unwrap(),
            serde_json::json!({
                "kind": "answer", "source": "work", "service": "qubes.Gpg", "requested": "vault",
                "target": null, "left": 9
            })
        );
    }

    #[test]
    fn times_have_a_unit_and_a_limit() {
        assert_eq!(seconds("10m"), Ok(600));
        assert_eq!(seconds("7d"), Ok(604_800));
        for bad in [
            "",
            "10",
            "m",
            "0s",
            "8d",
            "1w",
            "99999999999999999999d",
            "ä",
        ] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        assert_eq!((span(59), span(3700)), ("59 s".into(), "1 h 1 min".into()));
    }
}
