// SPDX-License-Identifier: GPL-3.0-or-later
//! The life of a domain as a state machine, without I/O.
//!
//! Requests and news go in as [`Event`]s; what has to be done comes out as an [`Action`].
//! At most one piece of work (creating, starting, burying, removing) is under way for a
//! domain at any time: an action that begins one is given out only when the last is over.
//! That is the domain's start lock; there is no lock across domains.

use bulkhead_types::DomId;
use thiserror::Error;

/// Where a domain is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Its volumes are being made.
    Creating,
    /// Nothing of it runs.
    Halted,
    /// Volumes, guest and daemons are being set up; its agent has not answered yet.
    Starting,
    /// It runs and its agent has answered.
    Running,
    /// Its processors are held.
    Paused,
    /// It was asked to shut down.
    Halting,
    /// The guest is gone or being destroyed; what it leaves behind is being cleared.
    Dying,
    /// Its volumes are being removed.
    Removing,
    /// There is no such domain any more.
    Gone,
}

impl Phase {
    /// The power state in the words of the Admin API.
    pub fn power_state(self) -> &'static str {
        match self {
            Self::Creating | Self::Halted | Self::Removing | Self::Gone => "Halted",
            Self::Starting => "Transient",
            Self::Running => "Running",
            Self::Paused => "Paused",
            Self::Halting => "Halting",
            Self::Dying => "Dying",
        }
    }
}

/// A request, or news about work that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The volumes are there.
    Created,
    /// The volumes could not be made and nothing of them is left.
    CreateFailed,
    /// Somebody wants it running.
    Start,
    /// The hypervisor made the guest.
    GuestMade(DomId),
    /// The agent answered.
    Answered,
    /// The start went wrong.
    StartFailed,
    /// Hold its processors.
    Pause,
    /// Let its processors go on.
    Unpause,
    /// Ask the guest to end.
    Shutdown,
    /// The guest did not end in time.
    ShutdownTimedOut,
    /// End it now.
    Kill,
    /// The hypervisor says that this guest is no more.
    GuestDied(DomId),
    /// All that the guest left behind is cleared.
    Buried {
        /// Whether the domain goes with its guest.
        remove: bool,
    },
    /// Somebody wants it gone.
    Remove,
    /// Its volumes and record are gone.
    Removed,
    /// Some of it could not be removed.
    RemoveFailed,
}

/// What has to be done after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// Begin a start; ends with `Answered` or `StartFailed`.
    RunStart,
    /// Break off the start under way; it ends with `StartFailed`.
    InterruptStart,
    /// Destroy the guest if it lives, clear what it leaves; ends with `Buried`.
    Bury,
    /// Remove volumes and record; ends with `Removed` or `RemoveFailed`.
    RunRemove,
    /// Ask the guest to end.
    RequestShutdown,
    /// Hold the guest.
    PauseGuest,
    /// Let the guest go on.
    UnpauseGuest,
}

/// The event makes no sense now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// It would have to be halted.
    #[error("the domain is not halted")]
    NotHalted,
    /// It would have to be running.
    #[error("the domain is not running")]
    NotRunning,
    /// It would have to be paused.
    #[error("the domain is not paused")]
    NotPaused,
    /// A removal failed half way; only another removal can follow.
    #[error("the domain was removed in part; remove it again")]
    HalfRemoved,
    /// It is being removed or made, or gone.
    #[error("there is no such domain")]
    NotThere,
}

/// One domain's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    phase: Phase,
    guest: Option<DomId>,
    half_removed: bool,
}

impl Life {
    /// A life that begins in the given phase: `Creating`, or `Halted` when it was read
    /// from the database.
    pub fn new(phase: Phase) -> Self {
        Self {
            phase,
            guest: None,
            half_removed: false,
        }
    }

    /// A life whose guest was found running.
    pub fn adopted(guest: DomId, paused: bool) -> Self {
        Self {
            phase: if paused {
                Phase::Paused
            } else {
                Phase::Running
            },
            guest: Some(guest),
            half_removed: false,
        }
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The guest, while there is one.
    pub fn guest(&self) -> Option<DomId> {
        self.guest
    }

    /// Takes an event and says what to do. After an error nothing has changed.
    pub fn handle(&mut self, event: Event) -> Result<Action, Refused> {
        let (phase, action) = self.next(event)?;
        match event {
            Event::GuestMade(id) => self.guest = Some(id),
            Event::Buried { .. } => self.guest = None,
            Event::RemoveFailed => self.half_removed = true,
            _ => {}
        }
        self.phase = phase;
        Ok(action)
    }

    fn next(&self, event: Event) -> Result<(Phase, Action), Refused> {
        use {Action as A, Event as E, Phase as P};
        let stay = (self.phase, A::None);
        // News of a guest that is not this domain's present one changes nothing.
        if let E::GuestDied(id) = event
            && self.guest != Some(id)
        {
            return Ok(stay);
        }
        Ok(match (self.phase, event) {
            (P::Creating, E::Created) => (P::Halted, A::None),
            (P::Creating, E::CreateFailed) => (P::Gone, A::None),

            (P::Halted, E::Start) if self.half_removed => return Err(Refused::HalfRemoved),
            (P::Halted, E::Start) => (P::Starting, A::RunStart),
            (P::Starting | P::Running, E::Start) => stay,
            (P::Starting, E::GuestMade(_)) => stay,
            (P::Starting, E::Answered) => (P::Running, A::None),
            (P::Starting, E::StartFailed) => (P::Dying, A::Bury),
            (P::Starting, E::Kill | E::Shutdown | E::GuestDied(_)) => {
                (P::Starting, A::InterruptStart)
            }

            (P::Running, E::Pause) => (P::Paused, A::PauseGuest),
            (P::Paused, E::Unpause) => (P::Running, A::UnpauseGuest),
            (P::Running | P::Halting, E::Shutdown) => (P::Halting, A::RequestShutdown),
            (P::Halting, E::ShutdownTimedOut) => (P::Running, A::None),
            (_, E::ShutdownTimedOut) => stay,
            // A guest that is held cannot end itself.
            (P::Paused, E::Shutdown) => (P::Dying, A::Bury),
            (P::Running | P::Paused | P::Halting, E::Kill | E::GuestDied(_)) => (P::Dying, A::Bury),

            (P::Dying, E::Kill | E::Shutdown | E::GuestDied(_)) => stay,
            (P::Dying, E::Buried { remove: false }) => (P::Halted, A::None),
            (P::Dying, E::Buried { remove: true }) => (P::Removing, A::RunRemove),

            (P::Halted, E::Remove) => (P::Removing, A::RunRemove),
            (P::Removing, E::Removed) => (P::Gone, A::None),
            (P::Removing, E::RemoveFailed) => (P::Halted, A::None),
            (P::Removing, E::Remove | E::Kill) => stay,

            (P::Creating | P::Removing | P::Gone, _) => return Err(Refused::NotThere),
            (_, E::Start | E::Remove) => return Err(Refused::NotHalted),
            (_, E::Unpause) => return Err(Refused::NotPaused),
            (_, _) => return Err(Refused::NotRunning),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Work {
        Create,
        Start,
        Bury,
        Remove,
    }

    /// A domain whose worker does what it is told and reports how it went.
    struct Played {
        life: Life,
        work: Option<Work>,
        next_guest: u32,
        guests: Vec<DomId>,
    }

    impl Played {
        fn tell(&mut self, event: Event) {
            let before = self.life.clone();
            let Ok(action) = self.life.handle(event) else {
                assert_eq!(self.life, before, "a refusal changes nothing");
                return;
            };
            let begins = match action {
                Action::RunStart => Some(Work::Start),
                Action::Bury => Some(Work::Bury),
                Action::RunRemove => Some(Work::Remove),
                _ => None,
            };
            if let Some(work) = begins {
                assert_eq!(
                    self.work, None,
                    "{event:?} began {work:?} on top of {:?}",
                    self.work
                );
                self.work = Some(work);
            }
            if action == Action::InterruptStart {
                assert_eq!(self.work, Some(Work::Start));
            }
        }

        /// The work under way ends, well or badly.
        fn finish(&mut self, well: bool, remove: bool) {
            match self.work.take() {
                Some(Work::Create) if well => self.tell(Event::Created),
                Some(Work::Create) => self.tell(Event::CreateFailed),
                Some(Work::Start) if well && self.life.guest().is_some() => {
                    self.tell(Event::Answered)
                }
                Some(Work::Start) => self.tell(Event::StartFailed),
                Some(Work::Bury) => {
                    self.guests.clear();
                    self.tell(Event::Buried { remove });
                }
                Some(Work::Remove) if well => self.tell(Event::Removed),
                Some(Work::Remove) => self.tell(Event::RemoveFailed),
                None => {}
            }
        }

        fn verify_invariants(&self) {
            let worked = match self.life.phase() {
                Phase::Creating => Some(Work::Create),
                Phase::Starting => Some(Work::Start),
                Phase::Dying => Some(Work::Bury),
                Phase::Removing => Some(Work::Remove),
                _ => None,
            };
            assert_eq!(self.work, worked, "every passing phase has its worker");
            match self.life.phase() {
                Phase::Running | Phase::Paused | Phase::Halting => {
                    assert!(self.life.guest().is_some(), "what runs has a guest");
                }
                Phase::Creating | Phase::Halted | Phase::Removing | Phase::Gone => {
                    assert_eq!(self.guests, [], "no guest outlives its burial");
                    assert_eq!(self.life.guest(), None);
                }
                Phase::Starting | Phase::Dying => {}
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Ask(Event),
        GuestAppears,
        GuestDies,
        Finish { well: bool, remove: bool },
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => prop::sample::select(vec![
                Event::Start, Event::Start, Event::Pause, Event::Unpause, Event::Shutdown,
                Event::ShutdownTimedOut, Event::Kill, Event::Remove,
                Event::GuestDied(DomId::new(77).unwrap()),
            ]).prop_map(Op::Ask),
            2 => Just(Op::GuestAppears),
            1 => Just(Op::GuestDies),
            4 => (any::<bool>(), any::<bool>()).prop_map(|(well, remove)| Op::Finish { well, remove }),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_one_worker_at_a_time_and_no_guest_is_lost(ops in prop::collection::vec(op(), 1..80)) {
            let mut played = Played { life: Life::new(Phase::Creating), work: Some(Work::Create), next_guest: 100, guests: vec![] };
            for op in ops {
                match op {
                    Op::Ask(event) => played.tell(event),
                    Op::GuestAppears if played.work == Some(Work::Start) && played.guests.is_empty() => {
                        let id = DomId::new(played.next_guest).unwrap();
                        played.next_guest += 1;
                        played.guests.push(id);
                        played.tell(Event::GuestMade(id));
                    }
                    Op::GuestDies => {
                        if let Some(id) = played.guests.pop() {
                            played.tell(Event::GuestDied(id));
                        }
                    }
                    Op::Finish { well, remove } => played.finish(well, remove),
                    Op::GuestAppears => {}
                }
                played.verify_invariants();
            }
        }
    }

    #[test]
    fn a_second_start_waits_for_the_first_and_a_kill_breaks_it_off() {
        let mut life = Life::new(Phase::Halted);
        assert_eq!(life.handle(Event::Start), Ok(Action::RunStart));
        assert_eq!(life.handle(Event::Start), Ok(Action::None));
        assert_eq!(life.handle(Event::Kill), Ok(Action::InterruptStart));
        assert_eq!(life.handle(Event::StartFailed), Ok(Action::Bury));
        assert_eq!(life.handle(Event::Start), Err(Refused::NotHalted));
    }

    #[test]
    fn a_domain_removed_in_part_can_only_be_removed_again() {
        let mut life = Life::new(Phase::Halted);
        life.handle(Event::Remove).unwrap();
        life.handle(Event::RemoveFailed).unwrap();
        assert_eq!(life.handle(Event::Start), Err(Refused::HalfRemoved));
        assert_eq!(life.handle(Event::Remove), Ok(Action::RunRemove));
    }
}
