// SPDX-License-Identifier: GPL-3.0-or-later
//! One request while it is carried out, and the checks of its form.

use std::rc::Rc;

use bulkhead_admin::{Destination, Request};
use bulkhead_types::{DomainUuid, ServiceArgument};

use crate::failure::Failure;
use crate::work::Manager;

/// A request and who carries it out.
pub(super) struct Call<'a> {
    pub(super) manager: &'a Rc<Manager>,
    request: &'a Request,
}

impl<'a> Call<'a> {
    pub(super) fn new(manager: &'a Rc<Manager>, request: &'a Request) -> Self {
        Self { manager, request }
    }

    fn method(&self) -> &str {
        self.request.method.name().as_str()
    }

    /// The argument; empty when there is none.
    pub(super) fn argument(&self) -> &'a str {
        self.request
            .method
            .argument()
            .map_or("", ServiceArgument::as_str)
    }

    /// The argument, which the method needs.
    pub(super) fn needed_argument(&self) -> Result<&'a str, Failure> {
        match self.argument() {
            "" => Err(Failure::Protocol(format!(
                "`{}` needs an argument",
                self.method()
            ))),
            argument => Ok(argument),
        }
    }

    /// Refuses an argument or a payload.
    pub(super) fn bare(&self) -> Result<(), Failure> {
        self.no_argument()?;
        self.no_payload()
    }

    pub(super) fn no_argument(&self) -> Result<(), Failure> {
        match self.argument() {
            "" => Ok(()),
            _ => Err(Failure::Protocol(format!(
                "unexpected argument of `{}`",
                self.method()
            ))),
        }
    }

    pub(super) fn no_payload(&self) -> Result<(), Failure> {
        match self.request.payload.is_empty() {
            true => Ok(()),
            false => Err(Failure::Protocol(format!(
                "unexpected payload of `{}`",
                self.method()
            ))),
        }
    }

    /// The payload as text. Anything but printable ASCII is refused later, by what it is.
    pub(super) fn payload(&self) -> Result<&'a str, Failure> {
        std::str::from_utf8(&self.request.payload).map_err(|_| {
            Failure::Protocol(format!("the payload of `{}` is not text", self.method()))
        })
    }

    /// Refuses any destination but dom0.
    pub(super) fn to_dom0(&self) -> Result<(), Failure> {
        match self.request.destination.is_dom0() {
            true => Ok(()),
            false => Err(Failure::Protocol(format!(
                "`{}` is asked of dom0",
                self.method()
            ))),
        }
    }

    /// Whether the system as a whole is asked about.
    pub(super) fn is_to_dom0(&self) -> bool {
        self.request.destination.is_dom0()
    }

    /// The domain that is asked about.
    pub(super) fn domain(&self) -> Result<DomainUuid, Failure> {
        let model = self.manager.model();
        Ok(model.find(&self.request.destination)?.domain.uuid.clone())
    }

    /// The domain that asks.
    pub(super) fn source(&self) -> Result<DomainUuid, Failure> {
        let model = self.manager.model();
        Ok(model.find(&self.request.source)?.domain.uuid.clone())
    }

    pub(super) fn destination(&self) -> &'a Destination {
        &self.request.destination
    }
}
