// SPDX-License-Identifier: GPL-3.0-or-later
//! What a fixture and its `testkit-init` tell each other: one JSON value per line.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A program to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
    /// Where its output goes, standard output and error alike; appended.
    pub log: PathBuf,
}

/// What became of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// It runs under this process id. Answers a [`Start`], in order.
    Started(i32),
    /// It could not be started. Answers a [`Start`], in order.
    Failed(String),
    /// It ended with this exit code, 128 and the signal's number after a signal. Also comes
    /// for processes that lost their parent.
    Ended(i32, i32),
}
