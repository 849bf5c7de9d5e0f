// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy explain`: one call, or one per line.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};

use bulkhead_policy::{Call, DomainRef, Policy, Rejected, Relay, Requested, System};
use bulkhead_types::Service;
use clap::Args;
use policy_analysis::Explainer;
use policyd::GrantState;
use serde::Deserialize;

use super::answer::Answer;
use super::arguments::{Format, PolicyFrom, SystemFrom};
use super::live::{self, grant_told};
use super::source;
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};

#[derive(Debug, Args)]
#[command(after_long_help = EXPLAIN_HELP)]
pub struct Explain {
    /// The domain that calls
    #[arg(required_unless_present = "batch")]
    source: Option<String>,
    /// The domain that is called, as the caller names it: a name, @dispvm, @default …
    #[arg(required_unless_present = "batch")]
    target: Option<String>,
    /// The service, with `+ARGUMENT` if it has one
    #[arg(required_unless_present = "batch")]
    service: Option<String>,
    /// Read a call per line as JSON, and answer each with a line of JSON
    #[arg(long, conflicts_with_all = ["source", "target", "service"])]
    batch: bool,
    #[command(flatten)]
    policy: PolicyFrom,
    #[command(flatten)]
    system: SystemFrom,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const EXPLAIN_HELP: &str = "\
In JSON, an answer is one object:
  verdict           allow, ask, deny, or error when the call or the policy makes no sense
  reason            why not, for deny and error
  rule              the rule that decided: file, line, text
  target            where an allowed call goes: a name, dom0 or @dispvm:NAME
  targets           where a call may go that is asked for
  default_target    the one of them that is offered first
  user              who runs the service, when the rule says so
  autostart         whether a halted target is started
  notify            whether the user is told
  requested_target  the target as rules see it
  relay             for a remote domain: the domain that carries the call, and its service
  nearest           for a denial without a rule: the rules that come nearest (file, line, text),
                    with the fields that failed
  suggestion        the smallest rule that would allow exactly this call (rule), and the rule it
                    has to stand before (before: file, line)
  remarks           what else is remarkable
  grants            those that allow the call now whatever the verdict, as in `grants --json`; there
                    when the policy and the domains of this machine are asked about, one call at a time

With --batch, a line is an object with the keys
  source            the domain that calls
  target            the target as the caller names it; without it, @default
  service           the service, with or without +ARGUMENT
  argument          the argument, where none stands behind the service
  requested_source  the remote domain that the caller speaks for, if any
  id                anything; the answer repeats it
A line that is no such object, or has another key, is answered with the verdict error; the next one is
read all the same.

The exit code is 0 whatever the verdict is, also for a batch with errors in it; 1 when a single call
makes no sense or there is no policy or system to ask; 2 for wrong usage.";

/// The longest line of a batch, in bytes; a call has 65 000 and its names.
const LINE_MAX: u64 = 1 << 20;

/// A call as texts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    source: String,
    #[serde(default, alias = "intended_target")]
    target: Option<String>,
    #[serde(alias = "service_and_arg")]
    service: String,
    #[serde(default, alias = "arg")]
    argument: Option<String>,
    #[serde(default)]
    requested_source: Option<String>,
    #[serde(default)]
    id: Option<serde_json::Value>,
}

pub fn explain(client: &Client, asked: &Explain, json: bool) -> Result<u8, Failure> {
    let system = source::system(client, &asked.system)?;
    let policy = source::read(client, &asked.policy);
    if asked.batch {
        return batch(&policy, &system);
    }
    let json = json || asked.format == Format::Json;
    let request = Request {
        source: asked.source.clone().unwrap_or_default(),
        target: asked.target.clone(),
        service: asked.service.clone().unwrap_or_default(),
        argument: None,
        requested_source: None,
        id: None,
    };
    let live = asked.policy.directories.is_empty() && asked.system.system.is_none();
    if !json {
        let policy = policy.map_err(|rejected| source::invalid(&rejected))?;
        let mut answer = answer(
            &Explainer::new(&policy, &system),
            &policy,
            &system,
            &request,
        );
        if answer.is_error() {
            let reason = answer.reason().to_owned();
            return Err(Failure::new(format!("that makes no call: {reason}")));
        }
        let mut told = answer.told();
        let own = asked.policy.directories.is_empty() && asked.policy.old.is_none();
        if let Some((number, files)) = source::live_generation(client).filter(|_| own) {
            // Whoever changes a file changes the working copy: what is live is for nobody to edit.
            told = told.replace(&format!("{}/", files.display()), "");
            told.push_str(&format!("  live      generation {number}\n"));
        }
        if live {
            let grants = grants(client, &request);
            let line = |grant| format!("  grant     {}\n", grant_told(grant));
            told.extend(grants.iter().map(line));
            answer.grants = Some(grants);
            let source = &request.source;
            let known = system
                .domains()
                .iter()
                .any(|domain| domain.name.as_str() == source);
            let for_now = answer.for_now(source, &request.service);
            let for_now = for_now.filter(|_| known && source != "dom0");
            told.extend(for_now.map(|command| format!("  for now   {command}\n")));
        }
        print(&told)?;
        return Ok(0);
    }
    let mut answer = match &policy {
        Ok(policy) => answer(&Explainer::new(policy, &system), policy, &system, &request),
        Err(rejected) => broken(rejected),
    };
    if live && !answer.is_error() {
        answer.grants = Some(grants(client, &request));
    }
    print_json(&answer)?;
    Ok(u8::from(answer.is_error()))
}

/// What is allowed for a while besides, where the machine's own policy is asked about.
fn grants(client: &Client, request: &Request) -> Vec<GrantState> {
    let target = request.target.as_deref().unwrap_or_default();
    live::covering(client, &request.source, target, &request.service)
}

/// Answers every line of standard input with one on standard output.
fn batch(policy: &Result<Policy, Box<Rejected>>, system: &System) -> Result<u8, Failure> {
    let explainer = policy
        .as_ref()
        .map(|policy| (policy, Explainer::new(policy, system)));
    let mut input = BufReader::with_capacity(1 << 16, std::io::stdin().lock());
    let mut output = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let mut line = Vec::new();
    let outcome = loop {
        line.clear();
        match input.by_ref().take(LINE_MAX).read_until(b'\n', &mut line) {
            Ok(0) => break Ok(()),
            Ok(_) => {}
            Err(error) => break Err(error),
        }
        let whole = line.ends_with(b"\n");
        if !whole
            && line.len() as u64 == LINE_MAX
            && let Err(error) = skip_line(&mut input)
        {
            break Err(error);
        }
        let answer = match &explainer {
            Ok((policy, explainer)) => match serde_json::from_slice::<Request>(&line) {
                Ok(request) => {
                    let mut answer = answer(explainer, policy, system, &request);
                    answer.id = request.id;
                    answer
                }
                Err(error) => {
                    let mut answer = Answer::error(format!("the line is no call: {error}"));
                    answer.id = id_of(&line);
                    answer
                }
            },
            Err(rejected) => broken(rejected),
        };
        let written = serde_json::to_writer(&mut output, &answer).map_err(Into::into);
        let written = written.and_then(|()| output.write_all(b"\n"));
        // Whoever waits for an answer before asking on gets it.
        let written = written.and_then(|()| match input.buffer().is_empty() {
            true => output.flush(),
            false => Ok(()),
        });
        if let Err(error) = written {
            break Err(error);
        }
    };
    match outcome.and_then(|()| output.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new("cannot go on answering").because(&error))
        }
        _ => match policy {
            Ok(_) => Ok(0),
            Err(rejected) => Err(source::invalid(rejected)),
        },
    }
}

/// What a line that is no call wants to have repeated.
fn id_of(line: &[u8]) -> Option<serde_json::Value> {
    let mut line: serde_json::Value = serde_json::from_slice(line).ok()?;
    line.get_mut("id").map(serde_json::Value::take)
}

/// Passes over what is left of a line.
fn skip_line(input: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (used, ended) = match buffer.iter().position(|b| *b == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if ended {
            return Ok(());
        }
    }
}

/// What is answered while there is no policy.
fn broken(rejected: &Rejected) -> Answer {
    let errors = source::errors(rejected);
    let told = rejected.to_string();
    let first = told.lines().find(|line| line.contains(": error: "));
    let first = first.or(told.lines().next()).unwrap_or_default();
    Answer::error(format!("the policy has {errors}: {first}"))
}

fn answer(
    explainer: &Explainer<'_>,
    policy: &Policy,
    system: &System,
    request: &Request,
) -> Answer {
    match call(request, system) {
        Ok(call) => Answer::new(policy, &explainer.explain(&call)),
        Err(NoCall::Refused(reason)) => Answer::denied(reason),
        Err(NoCall::Senseless(reason)) => Answer::error(reason),
    }
}

/// Why a request is not put to the policy.
enum NoCall {
    /// It can be made, and is refused whatever the rules say.
    Refused(String),
    /// It cannot be made.
    Senseless(String),
}

fn call(request: &Request, system: &System) -> Result<Call, NoCall> {
    let domain =
        |text: &str| DomainRef::parse(text).map_err(|error| NoCall::Senseless(error.to_string()));
    let service = match &request.argument {
        Some(argument) if request.service.contains('+') => {
            return Err(NoCall::Senseless(format!(
                "the argument is given twice: `service` is `{}` and `argument` is `{}`",
                request.service.escape_debug(),
                argument.escape_debug()
            )));
        }
        Some(argument) => {
            let argument = argument.strip_prefix('+').unwrap_or(argument);
            Service::parse(&format!("{}+{argument}", request.service))
        }
        None => Service::parse(&request.service),
    };
    let mut source = domain(&request.source)?;
    if let Some(remote) = request
        .requested_source
        .as_deref()
        .filter(|s| !s.is_empty())
    {
        let remote = domain(remote)?;
        let may = Relay::may_speak_for(&source, &remote, system);
        may.map_err(|denial| NoCall::Refused(denial.to_string()))?;
        source = remote;
    }
    let target = request.target.as_deref().unwrap_or_default();
    Ok(Call {
        source,
        service: service.map_err(|error| NoCall::Senseless(error.to_string()))?,
        target: Requested::parse(target).map_err(|error| NoCall::Refused(error.to_string()))?,
    })
}
