// SPDX-License-Identifier: GPL-3.0-or-later
//! How everything is doing.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bulkhead_admin::Status;
use bulkhead_policy::Rejected;
use bulkhead_types::os_words;
use policyd::load_live;
use serde::Serialize;

use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};
use crate::policy::generation;

/// How long the policy daemon may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct Everything {
    root: String,
    manager: Option<Status>,
    policy_daemon: Option<String>,
    policy: String,
    policy_valid: bool,
    problems: Vec<String>,
}

/// Shows the status; the exit code is 1 when something is missing.
pub fn show(client: &Client, json: bool) -> Result<u8, Failure> {
    let everything = look(client);
    match json {
        true => print_json(&everything)?,
        false => print(&told(&everything))?,
    }
    Ok(u8::from(!everything.problems.is_empty()))
}

fn look(client: &Client) -> Everything {
    let mut problems = Vec::new();
    let manager = match client.status() {
        Ok(status) => Some(status),
        Err(failure) => {
            problems.push(failure.to_string().trim_end().replace('\n', "; "));
            None
        }
    };
    if let Some(status) = &manager {
        problems.extend(
            status
                .damaged
                .iter()
                .map(|damage| format!("in the database: {damage}")),
        );
    }
    let policy_daemon = match ask_policyd(client) {
        Ok(status) => {
            problems.extend(
                status
                    .ledger_error
                    .iter()
                    .map(|error| format!("the ledger: {}", os_words(error))),
            );
            problems.extend(
                status
                    .settings_error
                    .iter()
                    .map(|error| format!("the policy daemon's settings: {error}")),
            );
            problems.extend(
                status
                    .policy
                    .error
                    .iter()
                    .map(|error| format!("the policy daemon: {error}")),
            );
            Some(status.summary())
        }
        Err(error) => {
            let told = os_words(&error.to_string());
            problems.push(match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    format!("the policy daemon cannot be asked ({told}); run this as root")
                }
                io::ErrorKind::TimedOut => {
                    "the policy daemon runs and says nothing, so every call is refused; restart it: `systemctl restart policyd`".to_owned()
                }
                _ => format!(
                    "the policy daemon does not answer, so every call is refused ({told}); start it: `systemctl start policyd`"
                ),
            });
            None
        }
    };
    let (policy, policy_valid) = match load_live(client.layout()) {
        Ok(live) => {
            let generation = live
                .generation
                .map(|number| format!("; generation: {number}"));
            let rules = live.policy.rules().len();
            let generation = generation.unwrap_or_default();
            (format!("valid; rules: {rules}{generation}"), true)
        }
        Err(rejected) => {
            problems.push(of_policy(client, &rejected));
            (
                format!("cannot go live; errors: {}", rejected.errors()),
                false,
            )
        }
    };
    Everything {
        root: client.layout().root().display().to_string(),
        manager,
        policy_daemon,
        policy,
        policy_valid,
        problems,
    }
}

/// What is said of a live policy with errors. `check` looks at the working copy.
fn of_policy(client: &Client, rejected: &Rejected) -> String {
    match generation::in_use(client) {
        Ok(false) => "the policy has errors; `bulkhead policy check` shows them".to_owned(),
        _ => {
            let told = rejected.to_string();
            let first = told.lines().find(|line| line.contains("error: "));
            let first = first.unwrap_or_default().replacen("error: ", "", 1);
            format!("the live policy has errors: {first}")
        }
    }
}

/// What the policy daemon says of itself.
fn ask_policyd(client: &Client) -> io::Result<policyd::Status> {
    let mut stream = UnixStream::connect(policyd::status_socket(client.layout()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(io::ErrorKind::TimedOut.into());
        }
        read => read?,
    };
    Ok(serde_json::from_slice(&bytes)?)
}

fn told(everything: &Everything) -> String {
    let mut text = String::new();
    if let Some(warning) = everything
        .manager
        .as_ref()
        .and_then(|status| status.warning.as_ref())
    {
        text.push_str(&format!("NOTHING IS ISOLATED: {warning}\n\n"));
    }
    let mut line = |what: &str, value: String| text.push_str(&format!("{what:15}  {value}\n"));
    match &everything.manager {
        Some(status) => {
            line(
                "domain manager",
                format!("runs, version {}", status.version),
            );
            line("back end", status.backend.clone());
            line(
                "domains",
                format!("{}, {} of them running", status.domains, status.running),
            );
            line("pool", status.pool.clone());
            line(
                "display",
                status
                    .display
                    .clone()
                    .unwrap_or_else(|| "none: domains show no windows".to_owned()),
            );
        }
        None => line("domain manager", "does not answer".to_owned()),
    }
    let daemon = everything.policy_daemon.clone();
    line(
        "policy daemon",
        daemon.unwrap_or_else(|| "does not answer".to_owned()),
    );
    line("policy", everything.policy.clone());
    line("below", everything.root.clone());
    for problem in &everything.problems {
        text.push_str(&format!("problem: {problem}\n"));
    }
    text
}
