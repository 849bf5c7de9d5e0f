// SPDX-License-Identifier: MIT OR Apache-2.0
//! Domains on another machine, and the domains here that carry calls to and from them
//! (specification of qrexec, 2.7).

use std::sync::Arc;

use bulkhead_policy_system::{Domain, System};
use bulkhead_types::{DomainRef, Service};

use crate::target::{Caller, Destination};
use crate::verdict::Denial;

/// The class of domains that live on another machine.
const REMOTE: &str = "RemoteVM";

/// How a domain on another machine is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// The domain here that carries the call.
    pub domain: Arc<Domain>,
    /// What it is asked for: `TRANSPORT+TARGET+SERVICE+ARGUMENT`.
    pub service: String,
}

impl Relay {
    /// The way to a destination, when it needs one; refused where it ends at the caller.
    pub(crate) fn to(
        destination: &Destination,
        caller: &Caller<'_>,
        service: &Service,
        system: &System,
    ) -> Result<Option<Self>, Denial> {
        let relay = match destination {
            Destination::Domain(domain) if domain.class == REMOTE => {
                Some(Self::of(domain, service, system)?)
            }
            _ => None,
        };
        let carrier = relay.as_ref().map(|relay| &relay.domain);
        let loops = match destination {
            Destination::Dom0 => caller.dom0,
            Destination::Domain(domain) => caller.is(&domain.name),
            Destination::Disposable(_) => false,
        };
        if loops || carrier.is_some_and(|domain| caller.is(&domain.name)) {
            return Err(Denial::Loopback);
        }
        Ok(relay)
    }

    fn of(remote: &Domain, service: &Service, system: &System) -> Result<Self, Denial> {
        let relay = remote.relayvm.as_ref().and_then(|name| system.get(name));
        let (Some(domain), Some(transport)) = (relay, &remote.transport_rpc) else {
            return Err(Denial::Unreachable(remote.name.to_string()));
        };
        let (name, argument) = (service.name(), service.policy_argument());
        Ok(Self {
            domain: domain.clone(),
            service: format!("{transport}+{}+{name}{argument}", remote.name),
        })
    }

    /// Whether `relay` may speak for `remote`: a remote domain that is reached through it.
    ///
    /// # Errors
    ///
    /// Why it may not, as the refusal of the call.
    pub fn may_speak_for(
        relay: &DomainRef,
        remote: &DomainRef,
        system: &System,
    ) -> Result<(), Denial> {
        let spoken_for = system.find(remote).filter(|d| d.class == REMOTE);
        let Some(spoken_for) = spoken_for else {
            return Err(Denial::NotRemote(remote.to_string()));
        };
        let via = spoken_for.relayvm.as_ref();
        match via.and_then(|name| system.get(name)) {
            Some(via) if system.find(relay).is_some_and(|r| r.name == via.name) => Ok(()),
            _ => Err(Denial::NotRelay {
                relay: relay.to_string(),
                remote: remote.to_string(),
            }),
        }
    }
}
