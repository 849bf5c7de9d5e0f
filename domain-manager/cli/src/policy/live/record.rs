// SPDX-License-Identifier: GPL-3.0-or-later
//! How a record of the ledger reads: as a line for people, and as fields for a spreadsheet.

use std::fmt::Write as _;

use bulkhead_types::escaped;
use policy_ledger::{Entry, Event};

/// A record in one line. What a guest wrote is escaped.
pub fn told(entry: &Entry) -> String {
    let Entry {
        sequence,
        time,
        event,
    } = entry;
    let moment = time.get(..19).unwrap_or(time).replace('T', " ");
    let what = match event {
        Event::Decision(decision) => {
            let target = match decision.requested_target.as_str() {
                "" => "@default",
                target => target,
            };
            let mut text = format!(
                "{:5} {} -> {} {}",
                decision.verdict,
                shown(&decision.source),
                shown(target),
                shown(&decision.service)
            );
            let mut add = |before: &str, more: &Option<String>| {
                if let Some(more) = more {
                    let _ = write!(text, "{before}{}", shown(more));
                }
            };
            add("; to ", &decision.target);
            add(": ", &decision.reason);
            add("; rule ", &decision.rule);
            add("; the user: ", &decision.prompt);
            add("; grant ", &decision.grant.map(|n| n.to_string()));
            add("; generation ", &decision.generation.map(|n| n.to_string()));
            if decision.just_evaluated {
                text.push_str("; only asked");
            }
            text
        }
        Event::Close(close) => {
            let mut text = format!("end   of {}: {}", close.call, shown(&close.end));
            let _ = write!(text, "; after {} ms", close.duration_ms);
            if let (Some(sent), Some(received)) = (close.sent, close.received) {
                let _ = write!(text, "; {sent} bytes there, {received} back");
            }
            text
        }
        Event::Act(act) => {
            let (by, what) = (shown(&act.by), shown(&act.what));
            let detail = cut(&act.detail, DETAIL_MAX);
            format!("act   {what} by {by}: {detail}")
        }
        Event::Seal(_) => "seal".to_owned(),
        Event::Start { torn, lost, .. } => {
            let mut text = "start".to_owned();
            if *torn > 0 {
                text.push_str("; an unfinished record was removed");
            }
            if *lost > 0 {
                let _ = write!(text, "; {lost} records before this one were gone");
            }
            text
        }
        Event::Stop => "stop".to_owned(),
        Event::Private => "a call of a private disposable".to_owned(),
        Event::Flood { source, refused } => {
            format!(
                "flood {refused} further calls of {} were refused",
                shown(source)
            )
        }
        Event::Pruned { through, .. } => format!("the records up to {through} were removed"),
    };
    format!("{sequence:>7}  {moment}  {what}")
}

/// An act names a SHA-256 and somebody's reason.
const DETAIL_MAX: usize = 400;

fn shown(text: &str) -> String {
    cut(text, 120)
}

fn cut(text: &str, longest: usize) -> String {
    let cut: String = text.chars().take(longest).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("{}{more}", escaped(&cut))
}

/// The first line of the fields that a spreadsheet takes.
pub const CSV_HEAD: &str = "sequence,time,event,source,requested_target,service,verdict,rule,reason,\
target,generation,prompt,grant,call,duration_ms,end,sent,received,by,what,detail\n";

/// A record as a line of these fields.
pub fn csv(entry: &Entry) -> String {
    let value = serde_json::to_value(entry).unwrap_or_default();
    let fields = CSV_HEAD
        .trim_end()
        .split(',')
        .map(|key| match value.get(key) {
            None | Some(serde_json::Value::Null) => String::new(),
            Some(serde_json::Value::String(text)) => quoted(text),
            Some(other) => other.to_string(),
        });
    format!("{}\n", fields.collect::<Vec<_>>().join(","))
}

/// A field that no spreadsheet takes for a formula and that stays on its line.
fn quoted(text: &str) -> String {
    let text = text.replace(char::is_control, " ");
    let risky = text.starts_with(['=', '+', '-', '@', '\t']);
    match risky || text.contains(['"', ',', ';']) {
        true => {
            let guard = if risky { "'" } else { "" };
            format!("\"{guard}{}\"", text.replace('"', "\"\""))
        }
        false => text,
    }
}
