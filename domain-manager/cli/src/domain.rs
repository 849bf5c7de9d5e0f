// SPDX-License-Identifier: GPL-3.0-or-later
//! Commands that change domains.

use std::thread;

use bulkhead_admin::StartReport;
use bulkhead_types::DomainName;

use crate::arguments::{Create, Default, Stop};
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};

/// The word for the system's own properties; it can name no domain that has properties of
/// its own to confuse it with, since `bulkhead domain create` refuses it.
const SYSTEM: &str = "system";

pub fn create(client: &Client, create: &Create) -> Result<(), Failure> {
    let name = &create.name;
    if name.as_str() == SYSTEM {
        return Err(Failure::new(format!(
            "`{SYSTEM}` means the system itself; choose another name"
        )));
    }
    let method = match &create.template {
        Some(template) => format!("admin.vm.Create.{}+{template}", create.class),
        None => format!("admin.vm.Create.{}", create.class),
    };
    let label = create
        .label
        .map_or(String::new(), |label| format!(" label={label}"));
    client.system(&method, format!("name={name}{label}").as_bytes())?;
    let serves = ("template_for_dispvms".to_owned(), "True".to_owned());
    let serves = create.for_disposables.then_some(serves);
    for (property, value) in create.properties.iter().chain(&serves) {
        if let Err(failure) = set(client, name, property, value) {
            // What was asked for is this domain with that property, not one without.
            client.domain("admin.vm.Remove", name, b"")?;
            return Err(failure);
        }
    }
    Ok(())
}

pub fn start(client: &Client, names: &[DomainName], json: bool) -> Result<(), Failure> {
    client.warn(&client.status()?);
    let reports = at_once(names, |name| {
        client.domain("admin.vm.Start", name, b"")?;
        client.domain_json::<StartReport>("bulkhead.domain.StartReport", name)
    })?;
    if json {
        let by_name: std::collections::BTreeMap<_, _> =
            names.iter().map(DomainName::as_str).zip(&reports).collect();
        return print_json(&by_name);
    }
    for (name, report) in names.iter().zip(reports) {
        print(&told(name, &report))?;
    }
    Ok(())
}

/// Says where the time of the last start went.
pub fn report(client: &Client, name: &DomainName, json: bool) -> Result<(), Failure> {
    let report: StartReport = client.domain_json("bulkhead.domain.StartReport", name)?;
    if json {
        return print_json(&report);
    }
    let lines = report.stages.iter().map(|stage| {
        format!(
            "{:8} {:>12}\n",
            stage.stage,
            milliseconds(stage.microseconds)
        )
    });
    let failure = report
        .failure
        .iter()
        .map(|failure| format!("It failed: {failure}\n"));
    print(&lines.chain(failure).collect::<String>())
}

/// Chooses what the system uses where nothing is named.
pub fn set_default(client: &Client, what: Default, name: &DomainName) -> Result<(), Failure> {
    let property = match what {
        Default::Disposable => "default_dispvm",
        Default::Template => "default_template",
    };
    client.system(
        &format!("admin.property.Set+{property}"),
        name.as_str().as_bytes(),
    )?;
    Ok(())
}

fn milliseconds(microseconds: u64) -> String {
    format!("{}.{} ms", microseconds / 1000, microseconds / 100 % 10)
}

fn told(name: &DomainName, report: &StartReport) -> String {
    let total = report.stages.iter().map(|stage| stage.microseconds).sum();
    let stages = report.stages.iter();
    let stages: Vec<String> = stages
        .map(|stage| format!("{} {}", stage.stage, milliseconds(stage.microseconds)))
        .collect();
    match stages.is_empty() {
        true => format!("{name} runs.\n"),
        false => format!(
            "{name} runs. Its start took {}: {}.\n",
            milliseconds(total),
            stages.join(", ")
        ),
    }
}

pub fn stop(client: &Client, stop: &Stop) -> Result<(), Failure> {
    let method = if stop.no_wait {
        "admin.vm.Shutdown"
    } else {
        "admin.vm.Shutdown+wait"
    };
    each(client, &stop.names, method)
}

pub fn kill(client: &Client, names: &[DomainName]) -> Result<(), Failure> {
    each(client, names, "admin.vm.Kill")
}

pub fn remove(client: &Client, names: &[DomainName]) -> Result<(), Failure> {
    // One after the other, in the order given: a template can follow what is based on it.
    for name in names {
        client.domain("admin.vm.Remove", name, b"")?;
    }
    Ok(())
}

/// Calls a method of several domains at the same time.
pub fn each(client: &Client, names: &[DomainName], method: &str) -> Result<(), Failure> {
    at_once(names, |name| client.domain(method, name, b"").map(|_| ()))?;
    Ok(())
}

/// Does something for several domains at the same time. The first failure in the order of
/// the names is returned, the others are printed.
fn at_once<T: Send>(
    names: &[DomainName],
    work: impl Fn(&DomainName) -> Result<T, Failure> + Sync,
) -> Result<Vec<T>, Failure> {
    let outcomes: Vec<Result<T, Failure>> = thread::scope(|scope| {
        let threads: Vec<_> = names
            .iter()
            .map(|name| scope.spawn(|| work(name)))
            .collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended
            .map(|outcome| {
                outcome.unwrap_or_else(|_| Err(Failure::new("this command met a defect")))
            })
            .collect()
    });
    let mut done = Vec::new();
    let mut first = None;
    for outcome in outcomes {
        match outcome {
            Ok(value) => done.push(value),
            Err(failure) if first.is_none() => first = Some(failure),
            Err(failure) => eprint!("{failure}"),
        }
    }
    match first {
        Some(failure) => Err(failure),
        None => Ok(done),
    }
}

pub fn get(
    client: &Client,
    name: &DomainName,
    property: Option<&str>,
    json: bool,
) -> Result<(), Failure> {
    let content = match property {
        Some(property) => {
            let method = method(name, "Get", property);
            let content = client.domain(&method, target(name).as_ref(), b"")?;
            let content = String::from_utf8_lossy(&content).into_owned();
            let value = value_of(&content);
            return match json {
                true => print_json(&value),
                false => print(&format!("{value}\n")),
            };
        }
        None => {
            let method = if name.as_str() == SYSTEM {
                "admin.property.GetAll"
            } else {
                "admin.vm.property.GetAll"
            };
            client.domain(method, target(name).as_ref(), b"")?
        }
    };
    let content = String::from_utf8_lossy(&content).into_owned();
    let all = content.lines().filter_map(|line| {
        let (property, rest) = line.split_once(' ')?;
        Some((property, value_of(rest), rest.starts_with("default=True")))
    });
    if json {
        let all: std::collections::BTreeMap<_, _> =
            all.map(|(property, value, _)| (property, value)).collect();
        return print_json(&all);
    }
    let line = |(property, value, default)| {
        format!(
            "{property:22}  {}{value}\n",
            if default { "D  " } else { "   " }
        )
    };
    print(&all.map(line).collect::<String>())
}

/// What stands behind `default=… type=…`.
fn value_of(text: &str) -> &str {
    text.splitn(3, ' ').nth(2).unwrap_or_default()
}

pub fn set(client: &Client, name: &DomainName, property: &str, value: &str) -> Result<(), Failure> {
    client.domain(
        &method(name, "Set", property),
        target(name).as_ref(),
        value.as_bytes(),
    )?;
    Ok(())
}

pub fn reset(client: &Client, name: &DomainName, property: &str) -> Result<(), Failure> {
    client.domain(&method(name, "Reset", property), target(name).as_ref(), b"")?;
    Ok(())
}

fn method(name: &DomainName, verb: &str, property: &str) -> String {
    let family = if name.as_str() == SYSTEM {
        "admin.property"
    } else {
        "admin.vm.property"
    };
    format!("{family}.{verb}+{property}")
}

fn target(name: &DomainName) -> std::borrow::Cow<'_, DomainName> {
    match name.as_str() {
        SYSTEM => std::borrow::Cow::Owned(DomainName::dom0()),
        _ => std::borrow::Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_admin::StageTime;

    #[test]
    fn a_start_says_where_its_time_went() {
        let stage = |stage: &str, microseconds| StageTime {
            stage: stage.into(),
            microseconds,
        };
        let report = StartReport {
            stages: vec![stage("storage", 1250), stage("agent", 980_040)],
            failure: None,
        };
        insta::assert_snapshot!(told(&"work".parse().unwrap(), &report), @"work runs. Its start took 981.2 ms: storage 1.2 ms, agent 980.0 ms.");
    }

    #[test]
    fn a_value_may_hold_blanks_or_be_empty() {
        assert_eq!(value_of("default=True type=str a b"), "a b");
        assert_eq!(value_of("default=True type=vm "), "");
    }
}
