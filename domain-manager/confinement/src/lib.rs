// SPDX-License-Identifier: GPL-3.0-or-later
//! Takes from a process everything it does not need, before it reads a guest's first byte.
//!
//! A process that parses a guest's bytes may be taken over by them. What it could do then is
//! what the kernel lets it do, so it opens what it needs, calls [`confine`], and only then
//! listens. Afterwards it has no capability, no user but nobody's, no file that is not open, and
//! no system call that its [`Role`] does not name; it goes when the process that started it
//! goes.
//!
//! What the kernel cannot do is told ([`Report`]) where it is a second lock on a door that is
//! closed already (Landlock), and is an error everywhere else: a process that cannot be
//! confined does not listen. Whether it worked is tried out each time, from inside, by things
//! that must not work ([`ConfineError::Unlocked`]).
//!
//! Trusts the kernel, and the process up to the call. Not promised: covert channels, and
//! what the open descriptors themselves allow.
#![forbid(unsafe_code)]

mod calls;
mod files;
mod privileges;
mod process;
mod role;
mod trial;

use std::fmt;

use nix::errno::Errno;
use thiserror::Error;

pub use files::Landlock;
pub use process::{SessionProcess, Start, begin};
pub use role::Role;

/// Why a process could not be confined.
#[derive(Debug, Error)]
pub enum ConfineError {
    /// The kernel refused to take something away.
    #[error("cannot {what}")]
    Refused {
        /// What was tried.
        what: &'static str,
        /// The kernel's reason.
        source: Errno,
    },
    /// Capabilities stay.
    #[error("cannot give up capabilities")]
    Capabilities(#[source] caps::errors::CapsError),
    /// The list of system calls cannot be enforced.
    #[error("cannot restrict system calls (seccomp); is it in this kernel?")]
    Seccomp(#[source] seccompiler::Error),
    /// Landlock is there and does not do what it is asked for.
    #[error("cannot close the file system (Landlock)")]
    Landlock(#[source] landlock::RulesetError),
    /// Something that must not work works.
    #[error("the process is not confined: it could {0}")]
    Unlocked(&'static str),
    /// The process that started this one is gone already.
    #[error("the process that started this one has ended")]
    Orphan,
}

impl ConfineError {
    fn refused(what: &'static str) -> impl FnOnce(Errno) -> Self {
        move |source| Self::Refused { what, source }
    }
}

/// What a process has given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// It is nobody now; otherwise it was an ordinary user's before.
    pub nobody: bool,
    /// How far the kernel closes files, the network and signals once more.
    pub landlock: Landlock,
    /// How many things were tried that must not work.
    pub tried: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = if self.nobody { "nobody" } else { "the same" };
        let Self {
            landlock, tried, ..
        } = self;
        write!(
            f,
            "user: {user}; capabilities: none; seccomp: enforced; Landlock: {landlock}; \
             {tried} forbidden things tried and refused"
        )
    }
}

/// Gives up everything but what `role` needs, for good.
///
/// `parent` is the process that started this one: when it ends, so does this one. To be
/// called while there is one thread; no others can be made later.
///
/// ```standalone_crate
/// use bulkhead_confinement::{Role, confine};
///
/// let report = confine(Role::Windows, nix::unistd::getppid())?;
/// assert!(std::fs::File::open("/proc/self/status").is_err());
/// assert!(std::net::UdpSocket::bind("127.0.0.1:0").is_err());
/// assert!(std::thread::Builder::new().spawn(|| ()).is_err());
/// println!("{report}");
/// # Ok::<(), bulkhead_confinement::ConfineError>(())
/// ```
pub fn confine(role: Role, parent: nix::unistd::Pid) -> Result<Report, ConfineError> {
    let nobody = privileges::give_up()?;
    privileges::end_with(parent)?;
    let landlock = files::close()?;
    calls::restrict(role)?;
    let tried = trial::run(parent)?;
    Ok(Report {
        nobody,
        landlock,
        tried,
    })
}
