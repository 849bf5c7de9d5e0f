// SPDX-License-Identifier: GPL-3.0-or-later
//! What a property is worth: the domain's own value, its template's, or the default.

use bulkhead_types::{DomainUuid, Label};

use super::{Class, Domain, Global, Model, Property, Value};
use crate::failure::Failure;

/// The values of what nobody set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// `pvh` or `pv`.
    pub virt_mode: String,
    /// In MiB.
    pub memory: u64,
    /// Virtual processors.
    pub vcpus: u64,
    /// The label of a new domain when none is named.
    pub label: Label,
    /// Seconds that a guest's agent may take to answer.
    pub qrexec_timeout: u64,
    /// Seconds that a guest may take to shut down.
    pub shutdown_timeout: u64,
    /// The guest's user who runs programs.
    pub default_user: String,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            virt_mode: "pvh".to_owned(),
            memory: 400,
            vcpus: 2,
            label: Label::Red,
            qrexec_timeout: 60,
            shutdown_timeout: 60,
            default_user: "user".to_owned(),
        }
    }
}

/// A property's value and whether somebody set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The value; `None` for one that a domain has but that is worth nothing now.
    pub value: Option<Value>,
    /// Whether it is the default.
    pub default: bool,
}

impl Model {
    /// What a property of a domain is worth now, if domains of its class have it.
    pub fn effective(&self, domain: &Domain, property: Property) -> Option<Effective> {
        if !property.applies_to(domain.class) {
            return None;
        }
        let fixed = |value| Effective {
            value: Some(value),
            default: false,
        };
        let text = |text: &str| fixed(Value::Text(text.to_owned()));
        Some(match property {
            Property::Name => text(domain.name.as_str()),
            Property::Uuid => text(domain.uuid.as_str()),
            Property::Klass => text(domain.class.name()),
            Property::Icon => Effective {
                default: true,
                ..text(&domain.icon())
            },
            Property::Label => fixed(Value::Label(domain.label)),
            Property::Template => fixed(Value::Domain(domain.template.clone())),
            Property::Dispid => Effective {
                value: domain.dispid.map(|id| Value::Number(id.into())),
                default: domain.dispid.is_none(),
            },
            Property::Xid => {
                let guest = self.get(&domain.uuid).and_then(|entry| entry.life.guest());
                Effective {
                    value: guest.map(|id| Value::Number(id.get().into())),
                    default: true,
                }
            }
            _ => match domain.set.get(&property) {
                Some(value) => fixed(value.clone()),
                None => Effective {
                    value: self.default_of(domain, property),
                    default: true,
                },
            },
        })
    }

    /// What a property would be worth if it had not been set.
    pub fn default_of(&self, domain: &Domain, property: Property) -> Option<Value> {
        if property.inherited()
            && let Some(template) = self.template_of(domain)
        {
            // A template has no template of its own that leads back: classes go DispVM,
            // AppVM, TemplateVM, so this ends after two steps.
            return self.effective(template, property)?.value;
        }
        let defaults = self.defaults();
        Some(match property {
            Property::AutoCleanup | Property::TemplateForDispvms => Value::Flag(false),
            Property::DefaultUser => Value::Text(defaults.default_user.clone()),
            Property::Memory => Value::Number(defaults.memory),
            Property::Vcpus => Value::Number(defaults.vcpus),
            Property::VirtMode => Value::Text(defaults.virt_mode.clone()),
            Property::QrexecTimeout => Value::Number(defaults.qrexec_timeout),
            Property::ShutdownTimeout => Value::Number(defaults.shutdown_timeout),
            // A template boots the kernel that came with it; what is based on it inherits that.
            Property::Kernel => Value::Text(domain.name.to_string()),
            // As it is called here, until somebody says what it is called there.
            Property::RemoteName => Value::Text(domain.name.to_string()),
            Property::TransportRpc => Value::Text(String::new()),
            Property::Relayvm => Value::Domain(None),
            Property::Guivm => Value::Domain(Some(DomainUuid::dom0())),
            // A disposable that asks for a disposable gets one of its own kind.
            Property::DefaultDispvm if domain.class == Class::DispVM => {
                Value::Domain(domain.template.clone())
            }
            Property::DefaultDispvm => Value::Domain(self.global(Global::DefaultDispvm).cloned()),
            _ => return None,
        })
    }

    /// The domain that a domain is based on.
    pub fn template_of(&self, domain: &Domain) -> Option<&Domain> {
        let template = domain.template.as_ref()?;
        self.get(template).map(|entry| &entry.domain)
    }

    /// A property that is a number.
    pub fn number(&self, domain: &Domain, property: Property) -> Result<u64, Failure> {
        match self.effective(domain, property).and_then(|e| e.value) {
            Some(Value::Number(number)) => Ok(number),
            other => Err(Failure::Defect(format!(
                "{property} of {} is {other:?}",
                domain.name
            ))),
        }
    }

    /// A property that is a text.
    pub fn text(&self, domain: &Domain, property: Property) -> Result<String, Failure> {
        match self.effective(domain, property).and_then(|e| e.value) {
            Some(Value::Text(text)) => Ok(text),
            other => Err(Failure::Defect(format!(
                "{property} of {} is {other:?}",
                domain.name
            ))),
        }
    }

    /// A property that is another domain.
    pub fn reference(&self, domain: &Domain, property: Property) -> Option<&Domain> {
        match self.effective(domain, property)?.value? {
            Value::Domain(Some(uuid)) => self.get(&uuid).map(|entry| &entry.domain),
            _ => None,
        }
    }

    /// A value as the Admin API writes it; a domain by its name, none as nothing.
    pub fn written(&self, value: &Value) -> String {
        match value {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Flag(true) => "True".to_owned(),
            Value::Flag(false) => "False".to_owned(),
            Value::Label(label) => label.to_string(),
            Value::Domain(Some(uuid)) => match self.name_of(uuid) {
                Some(name) => name.to_string(),
                None => String::new(),
            },
            Value::Domain(None) => String::new(),
        }
    }
}
