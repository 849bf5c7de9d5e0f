// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy graph`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use policy_analysis::Graph;

use super::arguments::{PolicyFrom, SystemFrom};
use super::source;
use super::who::if_unknown;
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};

/// What the picture is drawn in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// A picture for browsers
    #[default]
    Svg,
    /// The language of Graphviz
    Dot,
    /// For programs
    Json,
}

const GRAPH_HELP: &str = "\
The exit code is 0 also when there is nothing to draw; 1 when the policy has errors, the domains are not
known or the file cannot be written; 2 for wrong usage.";

#[derive(Debug, Args)]
#[command(after_long_help = GRAPH_HELP)]
pub struct GraphOf {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Leave out what the user is asked about
    #[arg(long)]
    allowed: bool,
    /// Where to write it; without it, to standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    policy: PolicyFrom,
    #[command(flatten)]
    system: SystemFrom,
    /// What to draw it in
    #[arg(long, value_enum, default_value_t)]
    format: GraphFormat,
}

pub fn graph(client: &Client, asked: &GraphOf, json: bool) -> Result<u8, Failure> {
    let policy = source::policy(client, &asked.policy)?;
    let system = source::system(client, &asked.system)?;
    let wanted =
        |service: &str| asked.services.is_empty() || asked.services.iter().any(|s| s == service);
    for service in &asked.services {
        if let Some(likely) = if_unknown(service, &policy) {
            eprintln!("warning: no rule names the service `{service}`.{likely}");
        }
    }
    let graph = Graph::new(&policy, &system, wanted, !asked.allowed);
    let text = match asked.format {
        _ if json => return print_json(&graph).map(|()| 0),
        GraphFormat::Json => return print_json(&graph).map(|()| 0),
        GraphFormat::Svg => graph.to_svg(),
        GraphFormat::Dot => graph.to_dot(),
    };
    match &asked.output {
        None => print(&text)?,
        Some(path) => std::fs::write(path, text).map_err(|error| {
            Failure::new(format!("cannot write {}", path.display())).because(&error)
        })?,
    }
    Ok(0)
}
