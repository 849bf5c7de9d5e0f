// SPDX-License-Identifier: GPL-3.0-or-later
//! Unnamed disposables: made for one purpose, gone with their guest.

use std::collections::BTreeMap;
use std::rc::Rc;

use bulkhead_types::{DomainName, DomainUuid};

use super::{Manager, NewDomain};
use crate::failure::Failure;
use crate::model::{Class, Domain, Property, Value};

/// Numbers run from 0 to this (specification of the domain manager, 2.3).
const DISPID_MAX: u16 = 9999;
/// A number is not given out again within a week, so that a log or a window title that
/// names a disposable keeps its meaning for a while.
const REST_SECONDS: i64 = 7 * 24 * 60 * 60;
/// After that many misses nearly all numbers must be in use.
const TRIES: usize = 1000;

impl Manager {
    /// Makes a disposable for `owner`, based on `base` or, without one, on what the owner's
    /// `default_dispvm` names. It is not started.
    pub async fn create_disposable(
        self: &Rc<Self>,
        owner: &DomainUuid,
        base: Option<&DomainUuid>,
    ) -> Result<DomainUuid, Failure> {
        let new = self.plan_disposable(owner, base)?;
        self.create(new).await
    }

    fn plan_disposable(
        &self,
        owner: &DomainUuid,
        base: Option<&DomainUuid>,
    ) -> Result<NewDomain, Failure> {
        let base = match base {
            Some(base) => self.domain(base)?,
            None => self.default_base(&self.domain(owner)?)?,
        };
        self.check_template(Class::DispVM, Some(&base.uuid))?;
        let (dispid, name) = self.free_number()?;
        Ok(NewDomain {
            name,
            class: Class::DispVM,
            label: base.label,
            template: Some(base.uuid),
            created_by: self.domain(owner)?.name,
            dispid: Some(dispid),
            set: BTreeMap::from([(Property::AutoCleanup, Value::Flag(true))]),
            source: None,
        })
    }

    fn default_base(&self, owner: &Domain) -> Result<Domain, Failure> {
        let model = self.model();
        let base = model.reference(owner, Property::DefaultDispvm);
        base.cloned().ok_or_else(|| {
            Failure::NoTemplate(format!(
                "domain `{}` has no `default_dispvm` to base a disposable on",
                owner.name
            ))
        })
    }

    fn free_number(&self) -> Result<(u16, DomainName), Failure> {
        let state = self.state.borrow();
        let now = (self.nature.now)();
        for _ in 0..TRIES {
            let (random, ..) = (self.nature.random)().as_fields();
            // Bias: 2^32 is no multiple of 10 000, which matters to nobody here.
            let number = u16::try_from(random % (u32::from(DISPID_MAX) + 1)).unwrap_or(0);
            let name = DomainName::parse(&format!("disp{number}"));
            let name = name.map_err(|error| Failure::Defect(error.to_string()))?;
            let used_at = state.store.dispid_used_at(number)?;
            // A clock that was set back must not block a number for ever.
            let rested = used_at.is_none_or(|at| now < at || now - at >= REST_SECONDS);
            if rested && state.model.uuid_of(&name).is_none() {
                return Ok((number, name));
            }
        }
        Err(Failure::BadArgument(
            "nearly all 10 000 numbers for disposables were used within a week; try again"
                .to_owned(),
        ))
    }
}
