// SPDX-License-Identifier: GPL-3.0-or-later
//! The system information: what a policy decision needs to know of every domain.
//!
//! Each domain's part is kept as text and made anew only when that domain changed. A part
//! that cannot be made is left out and reported, it never takes the others with it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Class, Domain, Entry, Model, Property, Value};

/// What the document says about one domain (specification of qrexec, 2.4).
#[derive(Serialize)]
struct Part<'a> {
    tags: Vec<String>,
    r#type: &'static str,
    template_for_dispvms: bool,
    default_dispvm: Option<&'a str>,
    power_state: &'static str,
    icon: String,
    label: &'static str,
    guivm: Option<&'a str>,
    uuid: &'a str,
    internal: bool,
    relayvm: Option<&'a str>,
    transport_rpc: Option<&'a str>,
    /// Ours: tells one run of a domain from the next.
    domid: Option<u32>,
}

impl Model {
    /// The document as JSON on one line, without a newline.
    ///
    /// The second value names the domains that had to be left out, with the reason.
    pub fn system_info(&self) -> (String, Vec<String>) {
        let mut text = String::with_capacity(400 * self.entries.len());
        let mut left_out = Vec::new();
        text.push_str(r#"{"domains":{"#);
        let mut separator = "";
        for entry in self.listed() {
            match self.part(entry) {
                Ok(part) => {
                    text.push_str(separator);
                    text.push_str(part);
                    separator = ",";
                }
                Err(reason) => left_out.push(format!("{}: {reason}", entry.domain.name)),
            }
        }
        text.push_str("}}");
        (text, left_out)
    }

    fn part<'a>(&'a self, entry: &'a Entry) -> Result<&'a str, String> {
        if let Some(part) = entry.info.get() {
            return Ok(part);
        }
        let domain = &entry.domain;
        if matches!(domain.class, Class::AppVM | Class::DispVM)
            && self.template_of(domain).is_none()
        {
            return Err("its template is missing".to_owned());
        }
        let transport = self.text(domain, Property::TransportRpc).ok();
        let part = Part {
            tags: self.tags(domain),
            r#type: domain.class.name(),
            template_for_dispvms: domain.flag(Property::TemplateForDispvms),
            default_dispvm: self.reference_name(domain, Property::DefaultDispvm),
            power_state: entry.power_state(),
            icon: domain.icon(),
            label: domain.label.name(),
            guivm: self.reference_name(domain, Property::Guivm),
            uuid: domain.uuid.as_str(),
            internal: false,
            relayvm: self.reference_name(domain, Property::Relayvm),
            transport_rpc: transport.as_deref().filter(|service| !service.is_empty()),
            domid: entry.life.guest().map(u32::from),
        };
        let named = BTreeMap::from([(domain.name.as_str(), part)]);
        let json = serde_json::to_string(&named).map_err(|error| error.to_string())?;
        let inner = json.trim_start_matches('{');
        let inner = inner.strip_suffix('}').unwrap_or(inner);
        Ok(entry.info.get_or_init(|| inner.to_owned()))
    }

    fn reference_name<'a>(&'a self, domain: &Domain, property: Property) -> Option<&'a str> {
        match self.effective(domain, property)?.value? {
            Value::Domain(Some(uuid)) => self.name_of(&uuid).map(|name| name.as_str()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Defaults, Stage};
    use super::*;
    use crate::life::{Life, Phase};
    use bulkhead_types::{DomainUuid, Label};

    fn domain(number: u8, name: &str, class: Class, template: Option<u8>) -> Domain {
        let uuid = |n: u8| {
            DomainUuid::parse(&format!("00000000-0000-4000-8000-0000000000{n:02x}")).unwrap()
        };
        Domain {
            template: template.map(uuid),
            stage: Stage::Halted,
            ..Domain::new(uuid(number), name.parse().unwrap(), class, Label::Blue)
        }
    }

    #[test]
    fn a_damaged_entry_is_left_out_and_takes_nobody_with_it() {
        let mut model = Model::new(Defaults::default());
        for d in [
            domain(1, "debian", Class::TemplateVM, None),
            domain(2, "work", Class::AppVM, Some(1)),
            domain(3, "lost", Class::AppVM, Some(9)),
        ] {
            model.put(d, Life::new(Phase::Halted));
        }
        let (text, left_out) = model.system_info();
        assert_eq!(left_out, ["lost: its template is missing"]);
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let names: Vec<&String> = document["domains"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["debian", "dom0", "work"]);
        insta::assert_snapshot!(document["domains"]["work"], @r#"{"default_dispvm":null,"domid":null,"guivm":"dom0","icon":"appvm-blue","internal":false,"label":"blue","power_state":"Halted","relayvm":null,"tags":["created-by-dom0","guivm-dom0"],"template_for_dispvms":false,"transport_rpc":null,"type":"AppVM","uuid":"00000000-0000-4000-8000-000000000002"}"#);
    }

    #[test]
    fn a_change_shows_in_the_next_document() {
        let mut model = Model::new(Defaults::default());
        let template = domain(1, "debian", Class::TemplateVM, None);
        model.put(template.clone(), Life::new(Phase::Halted));
        assert!(model.system_info().0.contains(r#""power_state":"Halted""#));
        let life = model.life_mut(&template.uuid).unwrap();
        life.handle(crate::life::Event::Start).unwrap();
        assert!(
            model
                .system_info()
                .0
                .contains(r#""power_state":"Transient""#)
        );
    }
}
