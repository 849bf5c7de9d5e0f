// SPDX-License-Identifier: GPL-3.0-or-later
//! What a guest is made of, and what is known of a running one.

use std::path::PathBuf;

use bulkhead_types::{DomId, DomainName, DomainUuid, VolumeName};

/// How Xen runs a guest. The local back end takes either and makes no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestKind {
    /// Paravirtualised: for trusted roles, and inside an emulated machine, where it is quick.
    Pv,
    /// Hardware-assisted without an emulated machine: the kind for untrusted guests.
    Pvh,
}

impl GuestKind {
    /// The word for it in an `xl` configuration and in the `virt_mode` property.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pv => "pv",
            Self::Pvh => "pvh",
        }
    }
}

/// What is booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The kernel's file.
    pub image: PathBuf,
    /// The initial ramdisk's file, if there is one.
    pub ramdisk: Option<PathBuf>,
    /// The kernel's command line, such as `root=/dev/xvda rw`.
    pub command_line: String,
}

/// A volume given to a guest; which disk it becomes follows from its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Which of the domain's volumes it is.
    pub volume: VolumeName,
    /// Where the working copy lies: an image file, or a folder for the local back end.
    pub path: PathBuf,
    /// Whether the guest may only read it.
    pub read_only: bool,
}

/// All that a back end needs to make a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestSpec {
    /// The guest's name, unique among the running ones.
    pub name: DomainName,
    /// The domain's UUID.
    pub uuid: DomainUuid,
    /// How it is run.
    pub kind: GuestKind,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Number of virtual processors, at least 1.
    pub vcpus: u32,
    /// What is booted. Xen cannot do without; the local back end has no kernel of its own
    /// and only looks whether the files that are named exist.
    pub kernel: Option<Kernel>,
    /// The guest's volumes.
    pub disks: Vec<Disk>,
}

impl GuestSpec {
    /// The disk made from a volume, if the guest has it.
    pub fn disk(&self, volume: VolumeName) -> Option<&Disk> {
        self.disks.iter().find(|disk| disk.volume == volume)
    }
}

/// What a guest is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestState {
    /// Created and never run, or stopped in place; it uses no processor.
    Paused,
    /// It runs, or would if it had anything to do.
    Running,
    /// It has ended and is about to disappear.
    Ending,
}

/// A guest that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningGuest {
    /// Its number, never used again until the machine boots anew.
    pub domid: DomId,
    /// Its name.
    pub name: DomainName,
    /// Its domain's UUID.
    pub uuid: DomainUuid,
    /// What it is doing.
    pub state: GuestState,
    /// Memory it holds, in KiB. The local back end says what it was created with.
    pub memory_kib: u64,
}

/// The end of a guest, by whatever cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// The number it had.
    pub domid: DomId,
    /// The name it had.
    pub name: DomainName,
}
