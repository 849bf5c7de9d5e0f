// SPDX-License-Identifier: GPL-3.0-or-later
//! What can go wrong with the box.

use std::path::PathBuf;

use template_builder::BuildError;

/// Why the box could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BoxError {
    /// An image could not be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// QEMU did not start.
    #[error("QEMU did not start: {said}")]
    Qemu {
        /// What it wrote.
        said: String,
    },
    /// QEMU ended while it was needed.
    #[error(
        "QEMU ended while {waiting_for} was waited for; the last lines of the console:\n{console}"
    )]
    Ended {
        /// What was waited for.
        waiting_for: String,
        /// The end of the serial console.
        console: String,
    },
    /// Something did not happen in time.
    #[error(
        "{waiting_for} did not happen within {seconds} s; the last lines of the console:\n{console}"
    )]
    TimedOut {
        /// What was waited for.
        waiting_for: String,
        /// How long.
        seconds: u64,
        /// The end of the serial console.
        console: String,
    },
    /// box-agent could not do what it was asked.
    #[error("in the box: {0}")]
    Agent(String),
    /// QEMU's monitor refused.
    #[error("QEMU's monitor answers to `{command}`: {said}")]
    Monitor {
        /// The command.
        command: String,
        /// The answer.
        said: String,
    },
    /// Reading or writing on the host failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl BoxError {
    /// For `map_err`: `action` on `path` failed.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
