// SPDX-License-Identifier: GPL-3.0-or-later
//! The daemons that face one domain each: started, watched, restarted, ended.
//!
//! They do not outlive the manager's knowledge of them: each carries a mark of this
//! installation in its environment, and a manager that starts ends every process with that
//! mark before it starts new ones (see [`end_strays`]). A process can be found by its mark
//! from its first instruction on, so there is no instant at which a crash loses one.

mod readiness;
mod strays;
mod supervisor;

use std::path::PathBuf;

pub use strays::{MARK_VARIABLE, end_strays};
pub use supervisor::{State, Supervised, supervise};

/// How one daemon is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// For logs: `qrexec-daemon of work`.
    pub title: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What it has in its environment beside the manager's own.
    pub environment: Vec<(String, String)>,
    /// Where its output goes.
    pub log: PathBuf,
    /// Where it says that it is ready.
    pub notify: PathBuf,
}
