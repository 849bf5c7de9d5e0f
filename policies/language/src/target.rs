// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who calls and what is asked for, held against the domains that exist.

use std::fmt;
use std::sync::Arc;

use bulkhead_policy_system::{Domain, System};
use bulkhead_types::{DomainName, DomainRef};

use crate::call::Requested;
use crate::pattern::{DomainPattern, Redirect};

/// The caller of a call.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// As the call named it.
    pub reference: &'a DomainRef,
    /// Whether it is dom0.
    pub dom0: bool,
    /// What is known of it; dom0 may be missing from the system's information.
    pub domain: Option<&'a Arc<Domain>>,
    /// Where it stands in [`System::domains`].
    pub position: Option<usize>,
}

impl<'a> Caller<'a> {
    /// Holds the caller's name against the system.
    pub fn new(reference: &'a DomainRef, system: &'a System) -> Self {
        let position = system.locate(reference);
        Self {
            reference,
            dom0: reference.is_dom0(),
            domain: position.and_then(|at| system.domains().get(at)),
            position,
        }
    }

    /// What the disposables it asks for are made from, if that exists. Whether it can serve
    /// as a template is for the domain manager to see, and to refuse.
    pub fn disposable<'s>(&self, system: &'s System) -> Option<&'s Arc<Domain>> {
        system.get(self.domain?.default_dispvm.as_ref()?)
    }

    /// Whether a domain is the caller itself.
    pub fn is(&self, name: &DomainName) -> bool {
        match (self.domain, self.reference) {
            (Some(domain), _) => domain.name == *name,
            (None, DomainRef::Name(own)) => own == name,
            (None, DomainRef::Uuid(_)) => false,
        }
    }
}

/// The domain a rule means, if it exists.
pub(crate) fn named<'a>(pattern: &DomainPattern, system: &'a System) -> Option<&'a Arc<Domain>> {
    let text = pattern.to_string();
    system.find(&DomainRef::parse(&text).ok()?)
}

/// What a call asks for, once the system has been looked at: this is what rules are held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nothing, or a domain that does not exist.
    Default,
    /// Dom0.
    AdminVm,
    /// A domain that exists.
    Domain {
        /// The domain.
        domain: Arc<Domain>,
        /// Whether the caller named it by its UUID.
        by_uuid: bool,
    },
    /// A new disposable of the caller's own default.
    DispVm,
    /// A new disposable of this template.
    DispVmOf {
        /// The template.
        template: Arc<Domain>,
        /// Whether the caller named it by its UUID.
        by_uuid: bool,
    },
}

impl Target {
    /// Holds a request against the system. Fails for a disposable of what is no template for
    /// disposables; the text is its name.
    ///
    /// # Errors
    ///
    /// The name of what should have been a template.
    pub fn of(requested: &Requested, system: &System) -> Result<Self, String> {
        Self::located(requested, system).map(|(target, _)| target)
    }

    /// As [`Self::of`], with the place of the domain or template in [`System::domains`].
    pub(crate) fn located(
        requested: &Requested,
        system: &System,
    ) -> Result<(Self, Option<usize>), String> {
        let by_uuid = |domain: &DomainRef| matches!(domain, DomainRef::Uuid(_));
        Ok(match requested {
            Requested::Default | Requested::Unknown(_) => (Self::Default, None),
            Requested::AdminVm => (Self::AdminVm, None),
            Requested::DispVm => (Self::DispVm, None),
            Requested::Domain(domain) => match system.locate(domain) {
                Some(at) => {
                    let found = Self::Domain {
                        domain: system.domains()[at].clone(),
                        by_uuid: by_uuid(domain),
                    };
                    (found, Some(at))
                }
                None => (Self::Default, None),
            },
            Requested::DispVmOf(template) => {
                let found = system.locate(template);
                let found = found.filter(|at| system.domains()[*at].template_for_dispvms);
                let at = found.ok_or_else(|| template.to_string())?;
                let found = Self::DispVmOf {
                    template: system.domains()[at].clone(),
                    by_uuid: by_uuid(template),
                };
                (found, Some(at))
            }
        })
    }
}

fn spelled(f: &mut fmt::Formatter<'_>, domain: &Domain, by_uuid: bool) -> fmt::Result {
    match &domain.uuid {
        Some(uuid) if by_uuid => write!(f, "uuid:{uuid}"),
        _ => write!(f, "{}", domain.name),
    }
}

impl fmt::Display for Target {
    /// As a service in dom0 learns it: a name, `uuid:…` or a keyword.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("@default"),
            Self::AdminVm => f.write_str("@adminvm"),
            Self::DispVm => f.write_str("@dispvm"),
            Self::Domain { domain, by_uuid } => spelled(f, domain, *by_uuid),
            Self::DispVmOf { template, by_uuid } => {
                f.write_str("@dispvm:")?;
                spelled(f, template, *by_uuid)
            }
        }
    }
}

/// Where an allowed call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To dom0.
    Dom0,
    /// To a domain.
    Domain(Arc<Domain>),
    /// To a new disposable of this template.
    Disposable(Arc<Domain>),
}

impl Destination {
    /// `uuid:…` or `@dispvm:uuid:…`, when the UUID is known; nothing for dom0.
    pub fn uuid_text(&self) -> Option<String> {
        match self {
            Self::Dom0 => None,
            Self::Domain(domain) => domain.uuid.as_ref().map(|uuid| format!("uuid:{uuid}")),
            Self::Disposable(template) => {
                let uuid = template.uuid.as_ref();
                uuid.map(|uuid| format!("@dispvm:uuid:{uuid}"))
            }
        }
    }

    /// The domain a redirection names; `Err` with its text when there is none.
    pub(crate) fn of_redirect(
        redirect: &Redirect,
        caller: &Caller<'_>,
        system: &System,
    ) -> Result<Option<Self>, String> {
        let found = match redirect {
            Redirect::AdminVm => Some(Self::Dom0),
            Redirect::DispVm => {
                return Ok(caller.disposable(system).cloned().map(Self::Disposable));
            }
            Redirect::Domain(domain) => named(domain, system).cloned().map(Self::Domain),
            Redirect::DispVmOf(template) => named(template, system)
                .filter(|d| d.template_for_dispvms)
                .map(|template| Self::Disposable(template.clone())),
        };
        found.map(Some).ok_or_else(|| redirect.to_string())
    }
}

impl fmt::Display for Destination {
    /// `dom0`, a name, or `@dispvm:NAME`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dom0 => f.write_str(DomainName::DOM0),
            Self::Domain(domain) => write!(f, "{}", domain.name),
            Self::Disposable(template) => write!(f, "@dispvm:{}", template.name),
        }
    }
}
