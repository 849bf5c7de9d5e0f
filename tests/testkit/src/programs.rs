// SPDX-License-Identifier: GPL-3.0-or-later
//! Where the programs of this workspace are.

use std::env;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The folder with the programs that belong to the running test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    folder: PathBuf,
}

/// A program that the fixture needs was not built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path} is missing; build it with `cargo build --workspace --bins{profile}`")]
pub struct MissingProgram {
    /// Where it should be.
    path: PathBuf,
    /// The flag for the profile of the running test.
    profile: &'static str,
}

impl Programs {
    /// The programs built with the same profile as the running test: they lie beside it, or
    /// one folder up when it is a test or an example.
    pub fn beside_this_test() -> Self {
        let own = env::current_exe().unwrap_or_default();
        let mut folder = own.parent().unwrap_or(Path::new(".")).to_owned();
        if folder.ends_with("deps") || folder.ends_with("examples") {
            folder.pop();
        }
        Self { folder }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of a program, if it was built.
    pub fn find(&self, name: &str) -> Result<PathBuf, MissingProgram> {
        let path = self.folder.join(name);
        let profile = if self.folder.ends_with("release") {
            " --release"
        } else {
            ""
        };
        if path.is_file() {
            Ok(path)
        } else {
            Err(MissingProgram { path, profile })
        }
    }
}
