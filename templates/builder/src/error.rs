// SPDX-License-Identifier: GPL-3.0-or-later
//! What can go wrong between a recipe and its image.

use std::path::{Path, PathBuf};

use crate::RecipeError;

/// Why an image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The recipe is unreadable or senseless.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A program of the build machine is missing.
    #[error("`{tool}` is not installed: apt-get install {package}")]
    MissingTool {
        /// The program.
        tool: String,
        /// The Debian package that has it.
        package: String,
    },
    /// A program of the build machine failed.
    #[error("`{tool}` failed ({status}):\n{tail}")]
    Tool {
        /// The program.
        tool: String,
        /// How it ended.
        status: String,
        /// The last lines that it wrote.
        tail: String,
    },
    /// apt knows no Debian mirror.
    #[error(
        "this machine's apt knows no Debian archive: run `apt-get update`, add one to /etc/apt, or \
         name one in {}",
        crate::debian::MIRROR_VARIABLE
    )]
    NoMirror,
    /// The mirror did not answer as one.
    #[error("the Debian archive cannot be reached or has no suite `{suite}`:\n{tail}")]
    Unreachable {
        /// The suite that was wanted.
        suite: String,
        /// The last lines that mmdebstrap wrote.
        tail: String,
    },
    /// No room for an output.
    #[error("no space left for {what}: free some, or let BULKHEAD_CACHE name a folder with room")]
    DiskFull {
        /// What was being made.
        what: String,
    },
    /// Something that the recipe counts on is not there.
    #[error("{what} is missing: {way_out}")]
    Missing {
        /// The thing.
        what: String,
        /// What to do.
        way_out: String,
    },
    /// Something that was made or read has not the expected form.
    #[error("{what} is not as expected: {problem}")]
    Unexpected {
        /// The thing.
        what: String,
        /// In which way.
        problem: String,
    },
    /// Reading or writing failed.
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

impl BuildError {
    /// For `map_err`: `action` on `path` failed.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| {
            if source.kind() == std::io::ErrorKind::StorageFull {
                return Self::DiskFull {
                    what: path.display().to_string(),
                };
            }
            Self::Io {
                action,
                path,
                source,
            }
        }
    }
}
