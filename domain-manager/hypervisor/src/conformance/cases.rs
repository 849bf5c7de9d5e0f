// SPDX-License-Identifier: GPL-3.0-or-later
//! The cases themselves.

use std::path::PathBuf;

use bulkhead_types::DomId;

use super::guests::{ensure_death, ensure_gone, ensure_state, find, first_words};
use super::{Case, Failure, Subject, ensure};
use crate::error::{ControlError, CreateError};
use crate::spec::{GuestState, Kernel};

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        [$(Case { name: stringify!($name), act: $name }),*]
    };
}

pub(super) const ALL: [Case; 10] = cases![
    a_created_guest_waits_paused_under_its_name_and_uuid,
    an_unpaused_guest_runs_and_its_agent_is_reached,
    a_guest_that_is_asked_to_shut_down_ends,
    a_destroyed_guest_is_gone_and_its_end_is_reported_once,
    a_guest_outlives_the_manager_and_is_taken_over,
    a_guest_can_be_paused_and_goes_on_afterwards,
    a_name_is_given_to_one_guest_at_a_time,
    a_kernel_that_does_not_exist_is_named_and_nothing_is_left,
    a_volume_that_does_not_exist_is_named_and_nothing_is_left,
    an_order_to_nobody_is_refused,
];

fn a_created_guest_waits_paused_under_its_name_and_uuid(subject: &Subject) -> Result<(), Failure> {
    let hypervisor = subject.open()?;
    let spec = subject.first();
    let domid = hypervisor.create(spec)?;
    ensure_state(&hypervisor, &subject.first().name, GuestState::Paused)?;
    let guest = find(&hypervisor, &subject.first().name)?;
    let as_asked = guest
        .as_ref()
        .is_some_and(|guest| guest.domid == domid && guest.uuid == spec.uuid);
    ensure(as_asked, || {
        format!("{domid} {} is listed as {guest:?}", spec.uuid)
    })?;
    hypervisor.destroy(domid)?;
    ensure_gone(&hypervisor, &subject.first().name)
}

fn an_unpaused_guest_runs_and_its_agent_is_reached(subject: &Subject) -> Result<(), Failure> {
    let hypervisor = subject.open()?;
    let spec = subject.first();
    let domid = hypervisor.create(spec)?;
    hypervisor.unpause(domid)?;
    ensure_state(&hypervisor, &subject.first().name, GuestState::Running)?;
    subject.reach_agent(domid)?;
    let console = first_words(&hypervisor, &spec.name)?;
    ensure(console.lines().count() <= 3, || {
        format!("more than three lines: {console}")
    })?;

    hypervisor.destroy(domid)?;
    let after = hypervisor.console_tail(&spec.name, 3);
    ensure(!after.is_empty(), || {
        "the console went with the guest".into()
    })
}

fn a_guest_that_is_asked_to_shut_down_ends(subject: &Subject) -> Result<(), Failure> {
    let hypervisor = subject.open()?;
    let deaths = hypervisor.deaths();
    let domid = hypervisor.create(subject.first())?;
    hypervisor.unpause(domid)?;
    subject.reach_agent(domid)?;
    hypervisor.request_shutdown(domid)?;
    ensure_death(&deaths, domid, &subject.first().name)?;
    ensure_gone(&hypervisor, &subject.first().name)
}

fn a_destroyed_guest_is_gone_and_its_end_is_reported_once(
    subject: &Subject,
) -> Result<(), Failure> {
    let hypervisor = subject.open()?;
    let (early, late) = (hypervisor.deaths(), hypervisor.deaths());
    let first = hypervisor.create(subject.first())?;
    let second = hypervisor.create(subject.second())?;
    hypervisor.unpause(second)?;
    hypervisor.destroy(first)?;
    ensure_gone(&hypervisor, &subject.first().name)?;
    ensure_state(&hypervisor, &subject.second().name, GuestState::Running)?;
    hypervisor.destroy(second)?;
    // Had the first been reported twice, the second report would not be of the second.
    for deaths in [early, late] {
        ensure_death(&deaths, first, &subject.first().name)?;
        ensure_death(&deaths, second, &subject.second().name)?;
    }
    Ok(())
}

fn a_guest_outlives_the_manager_and_is_taken_over(subject: &Subject) -> Result<(), Failure> {
    let hypervisor = subject.open()?;
    let domid = hypervisor.create(subject.first())?;
    hypervisor.unpause(domid)?;
    subject.reach_agent(domid)?;
    let before = find(&hypervisor, &subject.first().name)?;
    drop(hypervisor);

    let hypervisor = subject.open()?;
    let deaths = hypervisor.deaths();
    let after = find(&hypervisor, &subject.first().name)?;
    let same = |guest: &crate::spec::RunningGuest| (guest.domid, guest.uuid.clone(), guest.state);
    ensure(
        after.is_some() && after.as_ref().map(same) == before.as_ref().map(same),
        || format!("{before:?} became {after:?}"),
    )?;
    hypervisor.destroy(domid)?;
    ensure_death(&deaths, domid, &subject.first().name)
}

fn a_guest_can_be_paused_and_goes_on_afterwards(subject: &Subject) -> Result<(), Failure> {
    let hypervisor = subject.open()?;
    let domid = hypervisor.create(subject.first())?;
    hypervisor.unpause(domid)?;
    subject.reach_agent(domid)?;
    hypervisor.pause(domid)?;
    ensure_state(&hypervisor, &subject.first().name, GuestState::Paused)?;
    hypervisor.unpause(domid)?;
    ensure_state(&hypervisor, &subject.first().name, GuestState::Running)?;
    subject.reach_agent(domid)
}

fn a_name_is_given_to_one_guest_at_a_time(subject: &Subject) -> Result<(), Failure> {
    let hypervisor = subject.open()?;
    let spec = subject.first();
    let domid = hypervisor.create(spec)?;
    let again = hypervisor.create(spec);
    let refused = matches!(&again, Err(CreateError::NameTaken(name)) if *name == spec.name);
    ensure(refused, || format!("the second creation gave {again:?}"))?;
    ensure_state(&hypervisor, &subject.first().name, GuestState::Paused)?;

    hypervisor.destroy(domid)?;
    let next = hypervisor.create(spec)?;
    ensure(next != domid, || {
        format!("the number {domid} was given twice")
    })
}

fn a_kernel_that_does_not_exist_is_named_and_nothing_is_left(
    subject: &Subject,
) -> Result<(), Failure> {
    let hypervisor = subject.open()?;
    let mut spec = subject.first().clone();
    let nowhere = PathBuf::from("/nowhere/vmlinuz");
    spec.kernel = Some(Kernel {
        image: nowhere.clone(),
        ramdisk: None,
        command_line: String::new(),
    });
    let made = hypervisor.create(&spec);
    let named = matches!(
        &made,
        Err(CreateError::Missing { what, path, .. }) if what == "kernel" && *path == nowhere
    );
    ensure(named, || format!("the creation gave {made:?}"))?;
    ensure_gone(&hypervisor, &subject.first().name)
}

fn a_volume_that_does_not_exist_is_named_and_nothing_is_left(
    subject: &Subject,
) -> Result<(), Failure> {
    let hypervisor = subject.open()?;
    let mut spec = subject.first().clone();
    let Some(disk) = spec.disks.first_mut() else {
        return Ok(());
    };
    disk.path = "/nowhere/volume".into();
    let nowhere = disk.path.clone();
    let made = hypervisor.create(&spec);
    let named = matches!(&made, Err(CreateError::Missing { path, .. }) if *path == nowhere);
    ensure(named, || format!("the creation gave {made:?}"))?;
    ensure_gone(&hypervisor, &subject.first().name)
}

fn an_order_to_nobody_is_refused(subject: &Subject) -> Result<(), Failure> {
    let hypervisor = subject.open()?;
    let guests = hypervisor.list()?;
    let taken = |id: &DomId| guests.iter().any(|guest| guest.domid == *id);
    let nobody = (1..=DomId::MAX).rev().filter_map(|id| DomId::new(id).ok());
    let Some(nobody) = nobody.into_iter().find(|id| !taken(id)) else {
        return Err(Failure("every number is taken".into()));
    };
    for answer in [
        hypervisor.unpause(nobody),
        hypervisor.pause(nobody),
        hypervisor.request_shutdown(nobody),
        hypervisor.destroy(nobody),
    ] {
        let refused = matches!(answer, Err(ControlError::NoSuchGuest(id)) if id == nobody);
        ensure(refused, || format!("an order to {nobody} gave {answer:?}"))?;
    }
    Ok(())
}
