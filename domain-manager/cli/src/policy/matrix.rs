// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy matrix`: as a table where the terminal is wide enough, else as a list.

use clap::Args;
use comfy_table::{Table, presets};
use policy_analysis::{Cell, Grouped, Kind, Matrix, listed};
use serde::Serialize;

use super::arguments::{Format, PolicyFrom, SystemFrom};
use super::diff::KindText;
use super::source;
use super::who::{split, unknown_service};
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json, without_margins};
use crate::terminal;

#[derive(Debug, Args)]
#[command(after_long_help = MATRIX_HELP)]
pub struct MatrixOf {
    /// Of one service only; with `+ARGUMENT`, with that argument only
    service: Option<String>,
    #[command(flatten)]
    policy: PolicyFrom,
    #[command(flatten)]
    system: SystemFrom,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const MATRIX_HELP: &str = "\
Callers that may do the same stand in one row, and targets that are the same to all of them in one
column; who may call nothing, and whom nobody may call, is left out. (Nobody ever calls itself.) A table
that is wider than the terminal becomes a list.

In JSON nothing is grouped or left out: `cells` holds, by caller and by target, the services that are
allowed (`allow`) and those that the user is asked about (`ask`).

The exit code is 0 also when every call is refused; 1 when the policy has errors or the domains are not
known; 2 for wrong usage.";

/// The names at a row stand below each other past so many letters.
const AT_ROW: usize = 36;
/// So do those above a column: the first of these with which the table is neither too wide nor too high
/// at its head.
const ABOVE_COLUMN: [usize; 4] = [14, 24, 36, 48];
const HEAD_MAX: usize = 6;

#[derive(Serialize)]
struct MatrixText {
    sources: Vec<String>,
    targets: Vec<String>,
    /// By caller, by target.
    cells: Vec<Vec<CellText>>,
}

#[derive(Serialize)]
struct CellText {
    allow: Vec<String>,
    ask: Vec<String>,
}

pub fn matrix(client: &Client, asked: &MatrixOf, json: bool) -> Result<u8, Failure> {
    let policy = source::policy(client, &asked.policy)?;
    let system = source::system(client, &asked.system)?;
    let (service, argument) = match &asked.service {
        Some(service) => {
            let (service, argument) = split(service);
            (Some(service), argument)
        }
        None => (None, None),
    };
    let matrix = Matrix::new(&policy, &system, service, argument.as_deref());
    if json || asked.format == Format::Json {
        print_json(&whole(matrix))?;
        return Ok(0);
    }
    print(&drawn(
        &matrix.grouped(),
        service.is_some(),
        terminal::width(),
    ))?;
    if let Some(unknown) = service.and_then(|service| unknown_service(service, &policy)) {
        print(&format!("\n{unknown}"))?;
    }
    Ok(0)
}

fn whole(matrix: Matrix) -> MatrixText {
    let cell = |cell: &Cell| CellText {
        allow: names(&cell.allow),
        ask: names(&cell.ask),
    };
    let cells = matrix.cells.iter();
    MatrixText {
        cells: cells.map(|row| row.iter().map(cell).collect()).collect(),
        sources: matrix.sources,
        targets: matrix.targets,
    }
}

fn names(kinds: &[Kind]) -> Vec<String> {
    let names = kinds.iter().map(|kind| KindText::new(kind).told());
    names.collect()
}

fn drawn(matrix: &Grouped, one_service: bool, width: usize) -> String {
    if matrix.sources.is_empty() {
        return "Every call is refused.\n".to_owned();
    }
    let fits = |table: &String| table.lines().all(|line| line.chars().count() <= width);
    let mut tables = ABOVE_COLUMN
        .iter()
        .filter_map(|above| table(matrix, *above));
    if let Some(table) = tables.find(fits) {
        return format!(
            "{table}\n✓ allowed, ? the user is asked, · refused{}\nWho and what is missing here is \
             refused to all.\n",
            if one_service {
                "."
            } else {
                "; with the number of services."
            }
        );
    }
    let list = list(matrix, one_service, width);
    format!("{list}\n✓ allowed, ? the user is asked; whatever is missing here is refused.\n")
}

/// Callers above each other, targets beside each other; nothing if the head is too high.
fn table(matrix: &Grouped, above: usize) -> Option<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let targets = matrix.targets.iter();
    let header: Vec<_> = targets.map(|names| folded(names, above, "")).collect();
    if header.iter().any(|names| names.len() > HEAD_MAX) {
        return None;
    }
    let header = header.iter().map(|names| names.join("\n"));
    table.set_header(std::iter::once(String::new()).chain(header));
    for (names, cells) in matrix.sources.iter().zip(&matrix.cells) {
        let sign = |cell: &Cell| match (cell.allow.len(), cell.ask.len()) {
            (0, 0) => "·".to_owned(),
            (allow, 0) => format!("✓{}", count(allow)),
            (0, ask) => format!("?{}", count(ask)),
            (allow, ask) => format!("✓{} ?{}", count(allow), count(ask)),
        };
        let row = std::iter::once(folded(names, AT_ROW, "").join("\n"));
        table.add_row(row.chain(cells.iter().map(sign)));
    }
    Some(without_margins(&table))
}

fn count(services: usize) -> String {
    match services {
        1 => String::new(),
        many => many.to_string(),
    }
}

/// Callers above each other, each with its targets and their services below it.
fn list(matrix: &Grouped, one_service: bool, width: usize) -> String {
    let mut lines = Vec::new();
    for (row, sources) in matrix.sources.iter().enumerate() {
        lines.extend(folded(sources, width, ""));
        let allowed = matrix.by_services(row, |cell| &cell.allow).into_iter();
        let asked = matrix.by_services(row, |cell| &cell.ask).into_iter();
        let signed = allowed.map(|part| ("✓", part));
        for (sign, (mut targets, kinds)) in signed.chain(asked.map(|part| ("?", part))) {
            if !one_service && let Some(last) = targets.last_mut() {
                last.push_str(&format!(": {}", listed(names(kinds))));
            }
            let mut mark = sign;
            for line in folded(&targets, width.saturating_sub(4), "  ") {
                lines.push(format!("  {mark} {line}"));
                mark = " ";
            }
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Names with commas between them, in lines of a width where that is possible; those after the first
/// are indented.
fn folded(names: &[String], width: usize, indent: &str) -> Vec<String> {
    let text = names.join(", ");
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
            Some(_) => lines.push(format!("{indent}{word}")),
        }
    }
    lines
}
