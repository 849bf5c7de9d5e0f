// SPDX-License-Identifier: GPL-3.0-or-later
//! What a person is told when something did not work.

use std::error::Error;
use std::fmt;

use bulkhead_admin::Exception;
use bulkhead_types::os_words;

/// The exit code for what failed.
const FAILED: u8 = 1;
/// The exit code for a command line that makes no sense.
const USAGE: u8 = 2;
/// The exit code for what policy, or the domain manager, refused.
const REFUSED: u8 = 126;

/// An error with its causes and the way out.
#[derive(Debug)]
pub struct Failure {
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// From a message alone.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            code: FAILED,
        }
    }

    /// Because of an error, with all its causes.
    pub fn because(mut self, error: &dyn Error) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            self.causes.push(error.to_string());
            cause = error.source();
        }
        self
    }

    /// With what can be done about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With what can be done about it, where nothing better is known.
    pub fn hint_at_least(mut self, hint: &str) -> Self {
        self.hint.get_or_insert_with(|| hint.to_owned());
        self
    }

    /// With a second way out beside the one that is hinted at.
    pub fn or(mut self, other: &str) -> Self {
        self.hint = Some(match self.hint {
            Some(hint) => format!("{hint}; {other}"),
            None => other.to_owned(),
        });
        self
    }

    /// For a command line that makes no sense.
    pub fn usage(mut self) -> Self {
        self.code = USAGE;
        self
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    /// All of it, a line each, the last one ended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", os_words(&self.message))?;
        for cause in &self.causes {
            writeln!(f, "caused by: {}", os_words(cause))?;
        }
        match &self.hint {
            Some(hint) => writeln!(f, "hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<Exception> for Failure {
    fn from(exception: Exception) -> Self {
        let hint = match exception.kind.as_str() {
            "QubesVMNotFoundError" => Some("`bulkhead ls` lists the domains there are"),
            "QubesLabelNotFoundError" => Some("`bulkhead label list` lists the labels"),
            "QubesMemoryError" => Some(
                "stop a domain, or give this one less with `bulkhead domain set NAME memory MIB`",
            ),
            "StoragePoolException" => Some("`bulkhead status` says where the pool is"),
            _ => None,
        };
        let refused = exception.kind == "PermissionDenied";
        Self {
            message: exception.message,
            causes: Vec::new(),
            hint: hint.map(str::to_owned),
            code: if refused { REFUSED } else { FAILED },
        }
    }
}
