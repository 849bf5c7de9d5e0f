// SPDX-License-Identifier: GPL-3.0-or-later
//! The instants between which a crash can fall.
//!
//! Every effect outside this process is preceded by a record in the database of what is
//! intended, and followed by one of what is done. A test kills the process at each of these
//! steps and expects [`repair`](crate::work::Manager::repair) to leave no half domain.

macro_rules! steps {
    ($($variant:ident $name:literal $doc:literal),* $(,)?) => {
        /// A step just completed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Step { $(#[doc = $doc] $variant),* }

        impl Step {
            /// Every step, in the order in which a domain's life passes them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The step's name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

steps! {
    CreateRecorded "create-recorded" "The intention to create is written.",
    CreateVolumesMade "create-volumes-made" "The lasting volumes exist.",
    CreateFinished "create-finished" "The domain is written as there.",
    PropertyRecorded "property-recorded" "A changed property is written.",
    StartRecorded "start-recorded" "The intention to start is written.",
    StartVolumesReady "start-volumes-ready" "The working copies exist.",
    StartGuestCreated "start-guest-created" "The guest exists, paused.",
    StartDaemonsSpawned "start-daemons-spawned" "The domain's daemons run.",
    StartGuestReleased "start-guest-released" "The guest runs.",
    StartFinished "start-finished" "The domain is written as running.",
    ShutdownRequested "shutdown-requested" "The guest has been asked to end.",
    BuryGuestGone "bury-guest-gone" "The guest is gone, its volumes are still in use.",
    BuryVolumesStopped "bury-volumes-stopped" "Nothing of the run is left but the record.",
    BuryRecorded "bury-recorded" "The domain is written as halted, or as to be removed.",
    RemoveRecorded "remove-recorded" "The intention to remove is written.",
    RemoveVolumesGone "remove-volumes-gone" "The volumes are gone.",
    RemoveFinished "remove-finished" "The record is gone.",
}

impl Step {
    /// The environment variable that names the step to die at. Only debug builds look at it.
    pub const VARIABLE: &'static str = "BULKHEAD_ABORT_AT";

    /// The step of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|step| step.name() == name)
    }

    /// The step at which this process is to die, for the tests of crash safety.
    pub fn to_die_at() -> Option<Self> {
        if !cfg!(debug_assertions) {
            return None;
        }
        std::env::var(Self::VARIABLE)
            .ok()
            .and_then(|name| Self::find(&name))
    }
}
