// SPDX-License-Identifier: GPL-3.0-or-later
//! The guests that the cases make, and what is asked of them.

use std::time::{Duration, Instant};

use bulkhead_types::{DomId, DomainName, Port};

use super::{Failure, Subject, ensure};
use crate::deaths::Deaths;
use crate::hypervisor::Hypervisor;
use crate::spec::{GuestSpec, GuestState, RunningGuest};

/// How long a guest may take to come up or to end: an emulated machine is slow.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

impl Subject {
    pub(super) fn first(&self) -> &GuestSpec {
        &self.guests[0]
    }

    pub(super) fn second(&self) -> &GuestSpec {
        &self.guests[1]
    }

    pub(super) fn open(&self) -> Result<Hypervisor, Failure> {
        Ok((self.open)()?)
    }

    /// Waits until a guest's agent takes the channel.
    pub(super) fn reach_agent(&self, domid: DomId) -> Result<(), Failure> {
        self.endpoints
            .connect(domid, Port::QREXEC, Some(PATIENCE))?;
        Ok(())
    }
}

/// The guest of that name, if it is listed.
pub(super) fn find(
    hypervisor: &Hypervisor,
    name: &DomainName,
) -> Result<Option<RunningGuest>, Failure> {
    let guests = hypervisor.list()?;
    Ok(guests.into_iter().find(|guest| guest.name == *name))
}

pub(super) fn ensure_state(
    hypervisor: &Hypervisor,
    name: &DomainName,
    state: GuestState,
) -> Result<(), Failure> {
    let guest = find(hypervisor, name)?;
    ensure(
        guest.as_ref().is_some_and(|guest| guest.state == state),
        || format!("`{name}` should be {state:?} and is listed as {guest:?}"),
    )
}

pub(super) fn ensure_gone(hypervisor: &Hypervisor, name: &DomainName) -> Result<(), Failure> {
    let guest = find(hypervisor, name)?;
    ensure(guest.is_none(), || format!("still listed: {guest:?}"))
}

/// The last three lines of a guest's console, once there are any: an agent may be reached before
/// the first line of it or of anybody else has come through.
pub(super) fn first_words(hypervisor: &Hypervisor, name: &DomainName) -> Result<String, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let console = hypervisor.console_tail(name, 3);
        if !console.is_empty() {
            return Ok(console);
        }
        ensure(Instant::now() < deadline, || {
            "nothing was written to the console".into()
        })?;
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Takes the next report of an end and checks whose it is.
pub(super) fn ensure_death(
    deaths: &Deaths,
    domid: DomId,
    name: &DomainName,
) -> Result<(), Failure> {
    let death = deaths.next_within(PATIENCE);
    let right = |death: &crate::spec::Death| death.domid == domid && death.name == *name;
    ensure(death.as_ref().is_some_and(right), || {
        format!("the end of {domid} `{name}` should be reported and not {death:?}")
    })
}

/// Destroys what a case left.
pub(super) fn clear_away(subject: &Subject) -> Result<(), Failure> {
    let hypervisor = subject.open()?;
    for spec in &subject.guests {
        if let Some(guest) = find(&hypervisor, &spec.name)? {
            hypervisor.destroy(guest.domid)?;
        }
    }
    Ok(())
}
