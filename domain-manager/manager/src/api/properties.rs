// SPDX-License-Identifier: GPL-3.0-or-later
//! Properties of domains and of the system.

use super::inventory::lines;
use super::{Answer, Call};
use crate::failure::Failure;
use crate::model::{Domain, Effective, Global, Kind, Model, Property};

pub(super) fn list(call: &Call<'_>) -> Answer {
    call.bare()?;
    let model = call.manager.model();
    let class = model.find(call.destination())?.domain.class;
    let properties = Property::ALL.iter().filter(|p| p.applies_to(class));
    Ok(lines(properties.map(|property| property.name())))
}

pub(super) fn get(call: &Call<'_>) -> Answer {
    let property = named(call)?;
    let model = call.manager.model();
    let domain = &model.find(call.destination())?.domain;
    let effective = model
        .effective(domain, property)
        .ok_or_else(|| unknown(domain, property.name()))?;
    Ok(written(&model, property.kind(), &effective).into_bytes())
}

pub(super) fn get_all(call: &Call<'_>) -> Answer {
    call.bare()?;
    let model = call.manager.model();
    let domain = &model.find(call.destination())?.domain;
    let mut all: Vec<String> = Vec::new();
    for property in Property::ALL {
        if let Some(effective) = model.effective(domain, *property) {
            let text = written(&model, property.kind(), &effective);
            let text = text.replace('\\', "\\\\").replace('\n', "\\n");
            all.push(format!("{property} {text}"));
        }
    }
    all.sort();
    Ok(lines(all))
}

pub(super) fn get_default(call: &Call<'_>) -> Answer {
    let property = named(call)?;
    let model = call.manager.model();
    let domain = &model.find(call.destination())?.domain;
    if !property.applies_to(domain.class) {
        return Err(unknown(domain, property.name()));
    }
    Ok(match model.default_of(domain, property) {
        Some(value) => {
            format!("type={} {}", property.kind().name(), model.written(&value)).into_bytes()
        }
        None => Vec::new(),
    })
}

pub(super) async fn set(call: &Call<'_>) -> Answer {
    let property = find(call)?;
    let text = call.payload()?;
    call.manager
        .set_property(&call.domain()?, property, Some(text))
        .await?;
    Ok(Vec::new())
}

pub(super) async fn reset(call: &Call<'_>) -> Answer {
    let property = named(call)?;
    call.manager
        .set_property(&call.domain()?, property, None)
        .await?;
    Ok(Vec::new())
}

pub(super) fn list_globals(call: &Call<'_>) -> Answer {
    call.bare()?;
    call.to_dom0()?;
    Ok(lines(Global::ALL.iter().map(|global| global.name())))
}

pub(super) fn get_global(call: &Call<'_>) -> Answer {
    call.no_payload()?;
    let global = global(call)?;
    Ok(written_global(&call.manager.model(), global).into_bytes())
}

pub(super) fn get_all_globals(call: &Call<'_>) -> Answer {
    call.bare()?;
    call.to_dom0()?;
    let model = call.manager.model();
    let all = Global::ALL
        .iter()
        .map(|g| format!("{} {}", g.name(), written_global(&model, *g)));
    Ok(lines(all))
}

pub(super) fn set_global(call: &Call<'_>) -> Answer {
    let global = global(call)?;
    call.manager.set_global(global, call.payload()?)?;
    Ok(Vec::new())
}

pub(super) fn reset_global(call: &Call<'_>) -> Answer {
    call.no_payload()?;
    call.manager.set_global(global(call)?, "")?;
    Ok(Vec::new())
}

fn global(call: &Call<'_>) -> Result<Global, Failure> {
    call.to_dom0()?;
    let name = call.needed_argument()?;
    Global::find(name).ok_or_else(|| Failure::NoSuchProperty {
        domain: bulkhead_types::DomainName::dom0(),
        property: name.to_owned(),
    })
}

fn written_global(model: &Model, global: Global) -> String {
    let name = model.global(global).and_then(|uuid| model.name_of(uuid));
    let default = if name.is_some() { "False" } else { "True" };
    format!(
        "default={default} type=vm {}",
        name.map_or("", |name| name.as_str())
    )
}

/// The property that the argument names; nothing comes with it.
fn named(call: &Call<'_>) -> Result<Property, Failure> {
    call.no_payload()?;
    find(call)
}

fn find(call: &Call<'_>) -> Result<Property, Failure> {
    let name = call.needed_argument()?;
    let found = Property::find(name);
    let model = call.manager.model();
    let domain = &model.find(call.destination())?.domain;
    found.ok_or_else(|| unknown(domain, name))
}

fn unknown(domain: &Domain, property: &str) -> Failure {
    Failure::NoSuchProperty {
        domain: domain.name.clone(),
        property: property.to_owned(),
    }
}

fn written(model: &Model, kind: Kind, effective: &Effective) -> String {
    let default = if effective.default { "True" } else { "False" };
    let value = effective.value.as_ref().map(|value| model.written(value));
    format!(
        "default={default} type={} {}",
        kind.name(),
        value.unwrap_or_default()
    )
}
