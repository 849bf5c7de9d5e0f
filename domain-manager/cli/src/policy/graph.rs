// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy graph`.

use policy_analysis::Graph;

use super::arguments::{GraphFormat, GraphOf};
use super::source;
use super::who::if_unknown;
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};

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
