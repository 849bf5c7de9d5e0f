// SPDX-License-Identifier: GPL-3.0-or-later
//! Changing properties.

use std::rc::Rc;

use bulkhead_types::{DomainName, DomainUuid, Label, Service};

use super::Manager;
use crate::failure::Failure;
use crate::life::Phase;
use crate::model::{Class, Domain, Global, Kind, Model, Property, Value};
use crate::step::Step;

/// Digits that a number may have (specification of the domain manager, 1.5).
const DIGITS_MAX: usize = 19;

/// Reads a value from the text of a request and checks its type.
pub fn parse_value(model: &Model, property: Property, text: &str) -> Result<Value, Failure> {
    let bad = |reason: String| Failure::bad_value(property, reason);
    if let Some(c) = text.chars().find(|c| !matches!(c, ' '..='~')) {
        return Err(bad(format!(
            "a value holds printable ASCII characters, not {c:?}"
        )));
    }
    Ok(match property.kind() {
        Kind::Text => Value::Text(text.to_owned()),
        Kind::Number => Value::Number(
            parse_number(text).ok_or_else(|| bad(format!("`{text}` is not a number")))?,
        ),
        Kind::Flag => match text.to_ascii_lowercase().as_str() {
            "1" | "yes" | "true" | "on" => Value::Flag(true),
            "0" | "no" | "false" | "off" => Value::Flag(false),
            _ => return Err(bad(format!("`{text}` is neither True nor False"))),
        },
        Kind::Label => Value::Label(text.parse::<Label>()?),
        Kind::Domain => Value::Domain(parse_domain(model, property.name(), text)?),
    })
}

fn parse_number(text: &str) -> Option<u64> {
    let digits =
        !text.is_empty() && text.len() <= DIGITS_MAX && text.bytes().all(|b| b.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    (digits && !leading_zero)
        .then(|| text.parse().ok())
        .flatten()
}

fn parse_domain(model: &Model, property: &str, text: &str) -> Result<Option<DomainUuid>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let name = DomainName::parse(text).map_err(|error| Failure::bad_value(property, error))?;
    let found = model.uuid_of(&name).and_then(|uuid| model.get(uuid));
    match found.filter(|entry| entry.is_visible()) {
        Some(entry) => Ok(Some(entry.domain.uuid.clone())),
        None => Err(Failure::bad_value(
            property,
            format!("there is no domain `{name}`"),
        )),
    }
}

/// Checks that a value makes sense for a property of that domain.
fn check_value(
    model: &Model,
    domain: &Domain,
    property: Property,
    value: &Value,
) -> Result<(), Failure> {
    let bad = |reason: String| Err(Failure::bad_value(property, reason));
    let within = |number: u64, low: u64, high: u64| match (low..=high).contains(&number) {
        true => Ok(()),
        false => bad(format!("{number} is not within {low} to {high}")),
    };
    match (property, value) {
        (Property::Memory, Value::Number(mib)) => within(*mib, 16, 16 * 1024 * 1024),
        (Property::Vcpus, Value::Number(vcpus)) => within(*vcpus, 1, 512),
        (Property::QrexecTimeout | Property::ShutdownTimeout, Value::Number(seconds)) => {
            within(*seconds, 1, 86400)
        }
        (Property::VirtMode, Value::Text(mode)) if !matches!(mode.as_str(), "pv" | "pvh") => {
            bad(format!("`{mode}` is none of pv, pvh"))
        }
        (Property::Kernel, Value::Text(kernel)) if DomainName::parse(kernel).is_err() => bad(
            format!("`{kernel}` is not the name of a folder among the templates"),
        ),
        (Property::DefaultUser, Value::Text(user)) => {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            let first = user.chars().next();
            if user.len() > 32
                || !user.chars().all(fits)
                || !first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            {
                return bad(format!("`{user}` is not the name of a user"));
            }
            Ok(())
        }
        (Property::TransportRpc, Value::Text(service)) => {
            let name = Service::parse(service).ok();
            match service.is_empty() || name.is_some_and(|name| name.argument().is_none()) {
                true => Ok(()),
                false => bad(format!("`{service}` is not the name of a service")),
            }
        }
        (Property::RemoteName, Value::Text(name)) => match DomainName::parse(name) {
            Ok(_) => Ok(()),
            Err(error) => bad(error.to_string()),
        },
        (Property::Relayvm, Value::Domain(Some(relay))) => {
            match model.get(relay).map(|entry| &entry.domain) {
                Some(relay) if relay.class.is_guest() => Ok(()),
                _ => bad("a domain is reached through a domain of this machine".to_owned()),
            }
        }
        (Property::DefaultDispvm, Value::Domain(Some(uuid))) => {
            check_dispvm(model, property.name(), uuid)
        }
        (Property::TemplateForDispvms, Value::Flag(false)) => {
            let mut based = model
                .based_on(&domain.uuid)
                .filter(|e| e.domain.class == Class::DispVM);
            match based.next() {
                Some(entry) => bad(format!("disposable `{}` is based on it", entry.domain.name)),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn check_dispvm(model: &Model, property: &str, uuid: &DomainUuid) -> Result<(), Failure> {
    match model.get(uuid).map(|entry| &entry.domain) {
        Some(base) if base.class == Class::AppVM && base.flag(Property::TemplateForDispvms) => {
            Ok(())
        }
        Some(base) => Err(Failure::bad_value(
            property,
            format!(
                "`{0}` does not serve disposables; `bulkhead domain set {0} template_for_dispvms True` lets it",
                base.name
            ),
        )),
        None => Err(Failure::bad_value(property, "there is no such domain")),
    }
}

impl Manager {
    /// Sets a property from the text of a request; `None` returns it to its default. The
    /// change is durable when this returns.
    pub async fn set_property(
        self: &Rc<Self>,
        uuid: &DomainUuid,
        property: Property,
        text: Option<&str>,
    ) -> Result<(), Failure> {
        self.change_property(uuid, property, text)?;
        self.done(Step::PropertyRecorded);
        self.publish();
        if property == Property::Label {
            self.replace_gui_daemon(uuid).await;
        }
        Ok(())
    }

    fn change_property(
        &self,
        uuid: &DomainUuid,
        property: Property,
        text: Option<&str>,
    ) -> Result<(), Failure> {
        let state = &mut *self.state.borrow_mut();
        let entry = state.model.get(uuid).ok_or_else(|| super::gone(uuid))?;
        let mut domain = entry.domain.clone();
        if !property.applies_to(domain.class) {
            return Err(Failure::NoSuchProperty {
                domain: domain.name,
                property: property.to_string(),
            });
        }
        let dom0_label = property == Property::Label && domain.class == Class::AdminVM;
        if !property.writable() || dom0_label {
            return Err(Failure::bad_value(property, "it cannot be changed"));
        }
        if property.only_while_halted() && entry.life.phase() != Phase::Halted {
            return Err(Failure::NotHalted(domain.name));
        }
        match text {
            None if property.mandatory() => {
                return Err(Failure::bad_value(
                    property,
                    "it has no default to return to",
                ));
            }
            None => {
                domain.set.remove(&property);
            }
            Some(text) => {
                let value = parse_value(&state.model, property, text)?;
                check_value(&state.model, &domain, property, &value)?;
                match (property, value) {
                    (Property::Label, Value::Label(label)) => domain.label = label,
                    (Property::Template, Value::Domain(template)) => {
                        self.check_new_template(&state.model, &domain, template.as_ref())?;
                        domain.template = template;
                    }
                    (property, value) => {
                        domain.set.insert(property, value);
                    }
                }
            }
        }
        state.store.put(&domain)?;
        state.model.update(domain);
        Ok(())
    }

    fn check_new_template(
        &self,
        model: &Model,
        domain: &Domain,
        template: Option<&DomainUuid>,
    ) -> Result<(), Failure> {
        let base = template
            .and_then(|uuid| model.get(uuid))
            .map(|entry| &entry.domain);
        match (domain.class, base) {
            (Class::AppVM, Some(base)) if base.class == Class::TemplateVM => Ok(()),
            (Class::AppVM, _) => Err(Failure::bad_value(
                Property::Template,
                "an AppVM is based on a TemplateVM",
            )),
            (_, Some(base)) => check_dispvm(model, Property::Template.name(), &base.uuid),
            (_, None) => Err(Failure::bad_value(
                Property::Template,
                "a disposable is based on an AppVM",
            )),
        }
    }

    /// Sets or clears a property of the system.
    pub fn set_global(&self, global: Global, text: &str) -> Result<(), Failure> {
        {
            let state = &mut *self.state.borrow_mut();
            let value = parse_domain(&state.model, global.name(), text)?;
            if let Some(uuid) = &value {
                match global {
                    Global::DefaultDispvm => check_dispvm(&state.model, global.name(), uuid)?,
                    Global::DefaultTemplate => {
                        let class = state.model.get(uuid).map(|entry| entry.domain.class);
                        if class != Some(Class::TemplateVM) {
                            return Err(Failure::bad_value(
                                global.name(),
                                format!("`{text}` is not a TemplateVM"),
                            ));
                        }
                    }
                }
            }
            state.store.set_global(global, value.as_ref())?;
            state.model.set_global(global, value);
        }
        self.done(Step::PropertyRecorded);
        self.publish();
        Ok(())
    }
}
