// SPDX-License-Identifier: GPL-3.0-or-later
//! Making a domain.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use bulkhead_storage::{Life as Keep, VolumeSpec};
use bulkhead_types::{DomainName, DomainUuid, Label};

use super::{COPYING, Manager, plan, template};
use crate::failure::Failure;
use crate::life::{Event, Life, Phase};
use crate::model::{Class, Domain, Property, Stage, Value};
use crate::step::Step;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct NewDomain {
    /// Its name.
    pub name: DomainName,
    /// Its class.
    pub class: Class,
    /// The colour of its frames.
    pub label: Label,
    /// What it is based on; fitting its class.
    pub template: Option<DomainUuid>,
    /// Who asks.
    pub created_by: DomainName,
    /// The number in the name of an unnamed disposable.
    pub dispid: Option<u16>,
    /// Properties it has from the beginning.
    pub set: BTreeMap<Property, Value>,
    /// The folder of a built template to take in.
    pub source: Option<PathBuf>,
}

impl Manager {
    /// Makes a domain with its lasting volumes. When this fails nothing is left of it.
    pub async fn create(self: &Rc<Self>, new: NewDomain) -> Result<DomainUuid, Failure> {
        let (uuid, volumes) = self.begin_creation(&new)?;
        self.done(Step::CreateRecorded);
        if self.domain(&uuid)?.stage == Stage::Halted {
            // Nothing of it lasts, so there was nothing to make.
            self.publish();
            return Ok(uuid);
        }
        let (name, source) = (new.name.clone(), new.source);
        let boot = self.layout.templates().join(name.as_str());
        let made = self.host(COPYING, move |host| {
            let image = match &source {
                Some(source) => template::take_in(source, &boot)?,
                None => None,
            };
            host.create_volumes(&name, &volumes, image.as_deref())
        });
        let made = match made.await {
            Ok(()) => {
                self.done(Step::CreateVolumesMade);
                self.record(&uuid, Stage::Halted)
            }
            Err(error) => Err(error.into()),
        };
        if let Err(failure) = made {
            self.undo_creation(&uuid, &new.name).await;
            return Err(failure);
        }
        self.done(Step::CreateFinished);
        self.tell(&uuid, Event::Created)?;
        tracing::info!("domain {} created", new.name);
        Ok(uuid)
    }

    fn begin_creation(&self, new: &NewDomain) -> Result<(DomainUuid, Vec<VolumeSpec>), Failure> {
        let state = &mut *self.state.borrow_mut();
        if state.model.uuid_of(&new.name).is_some() {
            return Err(Failure::AlreadyExists(new.name.clone()));
        }
        let random = (self.nature.random)().to_string();
        let uuid =
            DomainUuid::parse(&random).map_err(|error| Failure::Defect(error.to_string()))?;
        let mut domain = Domain {
            template: new.template.clone(),
            created_by: new.created_by.clone(),
            dispid: new.dispid,
            set: new.set.clone(),
            ..Domain::new(uuid.clone(), new.name.clone(), new.class, new.label)
        };
        let volumes = plan::volumes(&state.model, &domain)?;
        if !volumes.iter().any(|volume| volume.life == Keep::Kept) {
            domain.stage = Stage::Halted;
        }
        let phase = match domain.stage {
            Stage::Halted => Phase::Halted,
            // The name is taken from now on, but nobody sees the domain yet.
            _ => Phase::Creating,
        };
        if new.dispid.is_some() {
            state.store.put_disposable(&domain, (self.nature.now)())?;
        } else {
            state.store.put(&domain)?;
        }
        state.model.put(domain, Life::new(phase));
        Ok((uuid, volumes))
    }

    async fn undo_creation(&self, uuid: &DomainUuid, name: &DomainName) {
        let removed = name.clone();
        let boot = self.layout.templates().join(name.as_str());
        let removed = self.host(COPYING, move |host| {
            template::remove(&boot)?;
            host.remove_volumes(&removed)
        });
        if let Err(error) = removed.await {
            tracing::error!(
                "what was made of {name} cannot be removed now, only at the next start: {error}"
            );
        }
        let state = &mut *self.state.borrow_mut();
        // Without this the record stays as one to be undone at the next start.
        if let Err(error) = state.store.delete(uuid) {
            tracing::error!(
                "the record of {name} cannot be removed now, only at the next start: {error}"
            );
        }
        state.model.forget(uuid);
    }

    /// Checks that a domain of a class may be based on another.
    pub fn check_template(
        &self,
        class: Class,
        template: Option<&DomainUuid>,
    ) -> Result<(), Failure> {
        let model = self.model();
        let base = template
            .and_then(|uuid| model.get(uuid))
            .map(|entry| &entry.domain);
        match (class, base) {
            (Class::AdminVM, _) => Err(Failure::BadArgument(
                "there is one AdminVM, dom0".to_owned(),
            )),
            (Class::TemplateVM | Class::RemoteVM, None) => Ok(()),
            (Class::TemplateVM | Class::RemoteVM, Some(_)) => {
                Err(Failure::BadArgument(format!("a {class} has no template")))
            }
            (_, None) => Err(Failure::NoTemplate(
                "a template has to be named: there is no `default_template`; see `bulkhead ls`"
                    .to_owned(),
            )),
            (Class::AppVM, Some(base)) if base.class == Class::TemplateVM => Ok(()),
            (Class::AppVM, Some(base)) => Err(Failure::NoTemplate(format!(
                "`{}` is of class {}; an AppVM is based on a TemplateVM",
                base.name, base.class
            ))),
            (Class::DispVM, Some(base))
                if base.class == Class::AppVM && base.flag(Property::TemplateForDispvms) =>
            {
                Ok(())
            }
            (Class::DispVM, Some(base)) => Err(Failure::NoTemplate(format!(
                "disposables cannot be based on `{}`; an AppVM serves after `bulkhead domain set {} template_for_dispvms True`",
                base.name, base.name
            ))),
        }
    }
}
