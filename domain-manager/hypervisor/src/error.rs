// SPDX-License-Identifier: GPL-3.0-or-later
//! What can go wrong, one type per operation.

use std::error::Error as StdError;
use std::path::PathBuf;

use bulkhead_types::{DomId, DomainName};
use thiserror::Error;

/// What a back end says about its own failure.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// The back end cannot be used.
#[derive(Debug, Error)]
pub enum OpenError {
    /// This machine does not run Xen, or this is not its administrative domain.
    #[error("this machine's control of Xen is not there: `{missing}` does not exist")]
    NoXen {
        /// What was looked for.
        missing: PathBuf,
    },
    /// A program that the back end runs is not installed.
    #[error("the program `{0}` is not there")]
    NoProgram(PathBuf),
    /// The list of what is installed in a guest cannot be used.
    #[error("`{path}`, the list of what goes into a guest, cannot be used")]
    BadInstallList {
        /// The list.
        path: PathBuf,
        /// Why.
        source: Cause,
    },
    /// A file or folder of the back end failed.
    #[error("`{path}` failed")]
    Failed {
        /// The file, folder or program.
        path: PathBuf,
        /// Why.
        source: Cause,
    },
}

impl OpenError {
    /// What to do about it, if there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoXen { .. } => Some(
                "boot Debian with Xen (`apt install xen-system-amd64`), try it in an emulated \
                 machine (`cargo xtask try`), or set `backend = \"local\"`, which isolates nothing",
            ),
            Self::NoProgram(program) if program.ends_with("bwrap") => {
                Some("`apt install bubblewrap`")
            }
            Self::NoProgram(program) if program.ends_with("xl") => Some("`apt install xen-utils`"),
            Self::NoProgram(_) => Some("set `directory` under `[programs]` in bulkhead.toml"),
            Self::BadInstallList { .. } | Self::Failed { .. } => None,
        }
    }
}

/// A guest was not created, and nothing of it is left.
#[derive(Debug, Error)]
pub enum CreateError {
    /// A guest of that name exists.
    #[error("a guest named `{0}` is already there")]
    NameTaken(DomainName),
    /// The machine has not enough free memory.
    #[error(
        "there is not enough free memory for the {wanted_mib} MiB of `{name}`{}; stop another \
         domain, or give this one less: `bulkhead domain set {name} memory MIB`",
        free_text(*.free_mib)
    )]
    OutOfMemory {
        /// The guest.
        name: DomainName,
        /// What it asks for.
        wanted_mib: u32,
        /// What is left, if the back end could tell.
        free_mib: Option<u64>,
        /// What the back end said.
        source: Cause,
    },
    /// A file that the guest needs does not exist.
    #[error("the {what} of `{name}` is not there: `{path}`")]
    Missing {
        /// The guest.
        name: DomainName,
        /// What the file is: `kernel`, `ramdisk`, `root volume`.
        what: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// The kernel or its ramdisk cannot be booted.
    #[error("the kernel `{path}` of `{name}` cannot be booted")]
    BadKernel {
        /// The guest.
        name: DomainName,
        /// The kernel.
        path: PathBuf,
        /// What the back end said.
        source: Cause,
    },
    /// The back end boots a kernel and none is given.
    #[error("`{0}` has no kernel to boot")]
    NoKernel(DomainName),
    /// Anything else.
    #[error("`{name}` could not be created")]
    Failed {
        /// The guest.
        name: DomainName,
        /// What the back end said.
        source: Cause,
    },
}

fn free_text(free_mib: Option<u64>) -> String {
    free_mib.map_or_else(String::new, |free| format!(": {free} MiB are free"))
}

/// An order to a guest could not be carried out.
#[derive(Debug, Error)]
pub enum ControlError {
    /// No guest has that number (any more).
    #[error("no guest has the number {0}")]
    NoSuchGuest(DomId),
    /// Anything else.
    #[error("guest {domid} could not be {done}")]
    Failed {
        /// The guest.
        domid: DomId,
        /// What was wanted, as a participle: `paused`, `destroyed`.
        done: &'static str,
        /// What the back end said.
        source: Cause,
    },
}

/// The guests could not be listed.
#[derive(Debug, Error)]
#[error("the running guests could not be listed")]
pub struct ListError {
    /// What the back end said.
    pub source: Cause,
}

/// An error as one line, causes included.
pub(crate) fn in_one_line(error: &dyn StdError) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}
