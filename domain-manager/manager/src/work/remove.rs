// SPDX-License-Identifier: GPL-3.0-or-later
//! Taking a domain away.

use std::rc::Rc;

use bulkhead_types::DomainUuid;

use super::{COPYING, Manager, template};
use crate::failure::Failure;
use crate::life::Event;
use crate::model::{Class, Domain, Stage};
use crate::step::Step;

impl Manager {
    /// Removes a halted domain that nothing depends on, with its volumes.
    pub async fn remove(self: &Rc<Self>, uuid: &DomainUuid) -> Result<(), Failure> {
        let domain = self.domain(uuid)?;
        if domain.class == Class::AdminVM {
            return Err(Failure::BadArgument("dom0 cannot be removed".to_owned()));
        }
        self.would(uuid, Event::Remove)?;
        let users = self.model().users_of(uuid);
        if !users.is_empty() {
            return Err(Failure::InUse {
                name: domain.name,
                users: users.join(", "),
            });
        }
        self.record(uuid, Stage::Removing)?;
        self.done(Step::RemoveRecorded);
        self.tell(uuid, Event::Remove)?;
        self.finish_removal(&domain).await
    }

    /// Removes volumes and record of a domain that is written as to be removed.
    pub(super) async fn finish_removal(self: &Rc<Self>, domain: &Domain) -> Result<(), Failure> {
        let outcome = self.remove_everything(domain).await;
        match &outcome {
            Ok(()) => {
                self.tell(&domain.uuid, Event::Removed)?;
                let state = &mut *self.state.borrow_mut();
                state.model.forget(&domain.uuid);
                state.reports.remove(&domain.uuid);
                tracing::info!("domain {} removed", domain.name);
            }
            Err(failure) => {
                self.tell(&domain.uuid, Event::RemoveFailed)?;
                tracing::error!("domain {} is removed only in part: {failure}", domain.name);
            }
        }
        self.publish();
        outcome
    }

    async fn remove_everything(&self, domain: &Domain) -> Result<(), Failure> {
        self.remove_material(domain).await?;
        self.done(Step::RemoveVolumesGone);
        self.state.borrow_mut().store.delete(&domain.uuid)?;
        self.done(Step::RemoveFinished);
        Ok(())
    }

    /// Removes everything of a domain but its record.
    pub(super) async fn remove_material(&self, domain: &Domain) -> Result<(), Failure> {
        let name = domain.name.clone();
        let boots = domain.class == Class::TemplateVM;
        let boot = self.layout.templates().join(name.as_str());
        let removed = self.host(COPYING, move |host| {
            if boots {
                template::remove(&boot)?;
            }
            host.remove_volumes(&name)
        });
        Ok(removed.await?)
    }
}
