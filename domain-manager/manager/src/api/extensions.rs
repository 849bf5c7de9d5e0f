// SPDX-License-Identifier: GPL-3.0-or-later
//! Methods of our own, which answer in JSON.

use bulkhead_admin::{DomainSummary, Status};
use serde::Serialize;

use super::{Answer, Call};
use crate::failure::Failure;
use crate::model::{Class, Entry, Model, Property};

pub(super) fn domains(call: &Call<'_>) -> Answer {
    call.bare()?;
    let model = call.manager.model();
    let summaries: Vec<DomainSummary> = match call.is_to_dom0() {
        true => model.listed().map(|entry| summary(&model, entry)).collect(),
        false => vec![summary(&model, model.find(call.destination())?)],
    };
    json(&summaries)
}

fn summary(model: &Model, entry: &Entry) -> DomainSummary {
    let domain = &entry.domain;
    let name = |domain: &crate::model::Domain| domain.name.to_string();
    DomainSummary {
        name: domain.name.to_string(),
        uuid: domain.uuid.to_string(),
        class: domain.class.name().to_owned(),
        state: entry.power_state().to_owned(),
        label: domain.label.name().to_owned(),
        template: model.template_of(domain).map(name),
        memory: model.number(domain, Property::Memory).ok(),
        vcpus: model.number(domain, Property::Vcpus).ok(),
        domid: entry.life.guest().map(|guest| guest.get()),
        template_for_dispvms: domain.flag(Property::TemplateForDispvms),
        default_dispvm: model.reference(domain, Property::DefaultDispvm).map(name),
        created_by: (domain.class != Class::AdminVM).then(|| domain.created_by.to_string()),
        default_user: model.text(domain, Property::DefaultUser).ok(),
    }
}

pub(super) fn start_report(call: &Call<'_>) -> Answer {
    call.bare()?;
    let uuid = call.domain()?;
    json(&call.manager.start_report(&uuid).unwrap_or_default())
}

pub(super) fn status(call: &Call<'_>) -> Answer {
    call.bare()?;
    call.to_dom0()?;
    let settings = call.manager.settings();
    let model = call.manager.model();
    let guests: Vec<&Entry> = model
        .listed()
        .filter(|entry| entry.domain.class.is_guest())
        .collect();
    let running = guests.iter().filter(|entry| entry.life.guest().is_some());
    let running = running.count();
    json(&Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        backend: settings.backend.name().to_owned(),
        warning: call.manager.warning(),
        pool: settings.pool.to_string_lossy().into_owned(),
        environment: call.manager.child_environment(),
        display: settings.display.clone(),
        domains: guests.len(),
        running,
        damaged: call.manager.damaged(),
    })
}

fn json(value: &impl Serialize) -> Answer {
    serde_json::to_vec(value).map_err(|error| Failure::Defect(error.to_string()))
}
