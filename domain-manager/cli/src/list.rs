// SPDX-License-Identifier: GPL-3.0-or-later
//! Lists: domains, what is known of one, labels.

use std::io::Write;

use bulkhead_admin::DomainSummary;
use bulkhead_types::{DomainName, Label};
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::client::Client;
use crate::failure::Failure;

pub fn domains(client: &Client, json: bool) -> Result<(), Failure> {
    let domains: Vec<DomainSummary> = client.system_json("bulkhead.domain.List")?;
    match json {
        true => print_json(&domains),
        false => print(&table(&domains)),
    }
}

fn table(domains: &[DomainSummary]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NAME", "STATE", "CLASS", "LABEL", "TEMPLATE", "MEMORY"]);
    for domain in domains {
        table.add_row([
            domain.name.as_str(),
            &domain.state,
            &domain.class,
            &domain.label,
            domain.template.as_deref().unwrap_or("-"),
            &domain
                .memory
                .map_or("-".to_owned(), |mib| format!("{mib} MiB")),
        ]);
    }
    without_margins(&table)
}

/// The table's lines without the blanks that surround its cells.
pub fn without_margins(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        let line = line.trim_end();
        text.push_str(line.strip_prefix(' ').unwrap_or(line));
        text.push('\n');
    }
    text
}

pub fn info(client: &Client, name: &DomainName, json: bool) -> Result<(), Failure> {
    let domains: Vec<DomainSummary> = client.domain_json("bulkhead.domain.List", name)?;
    let domain = domains
        .first()
        .ok_or_else(|| Failure::new("the domain manager answered nothing"))?;
    if json {
        return print_json(domain);
    }
    let some = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let number =
        |value: Option<u64>, unit: &str| value.map_or("-".to_owned(), |n| format!("{n}{unit}"));
    let rows = [
        ("name", domain.name.clone()),
        ("uuid", domain.uuid.clone()),
        ("class", domain.class.clone()),
        ("state", domain.state.clone()),
        ("label", domain.label.clone()),
        ("template", some(&domain.template)),
        ("memory", number(domain.memory, " MiB")),
        ("processors", number(domain.vcpus, "")),
        ("guest", number(domain.domid.map(u64::from), "")),
        ("user", some(&domain.default_user)),
        ("disposables from", some(&domain.default_dispvm)),
        (
            "serves disposables",
            if domain.template_for_dispvms {
                "yes"
            } else {
                "no"
            }
            .to_owned(),
        ),
        ("created by", some(&domain.created_by)),
    ];
    let lines: String = rows
        .iter()
        .map(|(what, value)| format!("{what:18}  {value}\n"))
        .collect();
    print(&lines)
}

pub fn labels(json: bool) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Row {
        name: &'static str,
        index: u8,
        color: String,
    }
    let rows = Label::ALL.map(|label| Row {
        name: label.name(),
        index: label.index(),
        color: label.color().to_string(),
    });
    if json {
        return print_json(&rows);
    }
    let line = |row: &Row| format!("{:7} {}\n", row.name, row.color.replace("0x", "#"));
    print(&rows.iter().map(line).collect::<String>())
}

/// Prints text. That nobody reads it to its end is no error.
pub fn print(text: &str) -> Result<(), Failure> {
    print_on(text).map(|_| ())
}

/// Prints a part of an answer that goes on for as long as somebody reads; whether somebody does.
pub fn print_on(text: &str) -> Result<bool, Failure> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new("cannot write the answer").because(&error)),
    }
}

/// Prints a value as JSON on lines for people and programs alike.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new("cannot write the answer as JSON").because(&error))?;
    print(&format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_shows_what_a_person_looks_for() {
        let domain = |name: &str, class: &str, state: &str, memory| DomainSummary {
            name: name.into(),
            uuid: String::new(),
            class: class.into(),
            state: state.into(),
            label: "red".into(),
            template: (class == "AppVM").then(|| "debian-13-minimal".into()),
            memory,
            vcpus: None,
            domid: None,
            template_for_dispvms: false,
            default_dispvm: None,
            created_by: None,
            default_user: None,
        };
        let domains = [
            domain("dom0", "AdminVM", "Running", None),
            domain("untrusted", "AppVM", "Halted", Some(400)),
        ];
        insta::assert_snapshot!(table(&domains), @r"
        NAME       STATE    CLASS    LABEL  TEMPLATE           MEMORY
        dom0       Running  AdminVM  red    -                  -
        untrusted  Halted   AppVM    red    debian-13-minimal  400 MiB
        ");
    }
}
