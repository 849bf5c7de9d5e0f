// SPDX-License-Identifier: GPL-3.0-or-later
//! Between rows and domains.

use std::collections::HashMap;

use bulkhead_types::{DomainName, DomainUuid};
use rusqlite::{Connection, Row, Transaction, params};

use super::Loaded;
use crate::model::{Domain, Global, Kind, Property, Stage, Value};

pub(super) fn write(transaction: &Transaction<'_>, domain: &Domain) -> rusqlite::Result<()> {
    let sql = "INSERT INTO domain (uuid, name, class, label, template, created_by, dispid, stage)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
        ON CONFLICT (uuid) DO UPDATE SET name = ?2, label = ?4, template = ?5, stage = ?8";
    transaction.prepare_cached(sql)?.execute(params![
        domain.uuid.as_str(),
        domain.name.as_str(),
        domain.class.name(),
        domain.label.name(),
        domain.template.as_ref().map(DomainUuid::as_str),
        domain.created_by.as_str(),
        domain.dispid,
        domain.stage.name(),
    ])?;
    let uuid = domain.uuid.as_str();
    transaction
        .prepare_cached("DELETE FROM property WHERE domain = ?1")?
        .execute([uuid])?;
    let sql = "INSERT INTO property (domain, name, value) VALUES (?1, ?2, ?3)";
    let mut insert = transaction.prepare_cached(sql)?;
    for (property, value) in &domain.set {
        insert.execute(params![uuid, property.name(), written(value)])?;
    }
    Ok(())
}

fn written(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::Domain(Some(uuid)) => uuid.to_string(),
        Value::Domain(None) => String::new(),
        Value::Label(label) => label.to_string(),
    }
}

fn read_value(property: Property, text: String) -> Option<Value> {
    Some(match property.kind() {
        Kind::Text => Value::Text(text),
        Kind::Number => Value::Number(text.parse().ok()?),
        Kind::Flag => Value::Flag(text.parse().ok()?),
        Kind::Domain if text.is_empty() => Value::Domain(None),
        Kind::Domain => Value::Domain(Some(text.parse().ok()?)),
        Kind::Label => Value::Label(text.parse().ok()?),
    })
}

pub(super) fn load(connection: &Connection) -> rusqlite::Result<Loaded> {
    let mut loaded = Loaded::default();
    let mut domains = HashMap::new();
    let sql = "SELECT uuid, name, class, label, template, created_by, dispid, stage FROM domain";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match read_domain(row)? {
            Ok(domain) => {
                domains.insert(domain.uuid.to_string(), domain);
            }
            Err(reason) => loaded.damaged.push(reason),
        }
    }
    let mut statement = connection.prepare("SELECT domain, name, value FROM property")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (owner, name, text): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let Some(domain) = domains.get_mut(&owner) else {
            continue;
        };
        let property = Property::find(&name);
        match property.and_then(|p| Some((p, read_value(p, text)?))) {
            Some((property, value)) => {
                domain.set.insert(property, value);
            }
            None => {
                let reason = format!("domain {}: property `{name}` makes no sense", domain.name);
                loaded.damaged.push(reason);
            }
        }
    }
    let mut statement = connection.prepare("SELECT name, value FROM global")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, text): (String, String) = (row.get(0)?, row.get(1)?);
        match (Global::find(&name), DomainUuid::parse(&text)) {
            (Some(global), Ok(uuid)) => loaded.globals.push((global, uuid)),
            _ => loaded
                .damaged
                .push(format!("system property `{name}` makes no sense")),
        }
    }
    loaded.domains = domains.into_values().collect();
    loaded.domains.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(loaded)
}

/// A row as a domain, or what is wrong with it.
fn read_domain(row: &Row<'_>) -> rusqlite::Result<Result<Domain, String>> {
    let uuid: String = row.get(0)?;
    let name: String = row.get(1)?;
    let class: String = row.get(2)?;
    let label: String = row.get(3)?;
    let template: Option<String> = row.get(4)?;
    let created_by: String = row.get(5)?;
    let dispid: Option<i64> = row.get(6)?;
    let stage: String = row.get(7)?;
    let read = || -> Option<Domain> {
        let uuid = DomainUuid::parse(&uuid).ok()?;
        let name = DomainName::parse(&name).ok()?;
        let template = match &template {
            Some(text) => Some(DomainUuid::parse(text).ok()?),
            None => None,
        };
        Some(Domain {
            template,
            created_by: DomainName::parse(&created_by).ok()?,
            dispid: dispid.map(u16::try_from).transpose().ok()?,
            stage: Stage::find(&stage)?,
            ..Domain::new(uuid, name, class.parse().ok()?, label.parse().ok()?)
        })
    };
    Ok(read().ok_or_else(|| {
        format!(
            "domain `{}`: its record makes no sense",
            name.escape_debug()
        )
    }))
}
