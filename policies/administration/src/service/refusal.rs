// SPDX-License-Identifier: GPL-3.0-or-later
//! Why a domain's request is refused. Callers know the kinds by their first word, and Qubes' own
//! client and its tests some of the words after it.

use thiserror::Error;

use super::request::File;

/// A refusal. No message holds text of the policy but the caller's own.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The request makes no sense.
    #[error("PolicyAdminProtocolException {0}")]
    Protocol(String),
    /// No file can be called that.
    #[error(
        "PolicyAdminInvalidFileNameException Invalid policy file name: {0}; a file is named with letters, digits, `_` and `-`"
    )]
    InvalidFileName(String),
    /// The file is a link to somewhere else.
    #[error("PolicyAdminInvalidFilePathException `{0}` leads out of the policy directory")]
    InvalidFilePath(File),
    /// There is no such file.
    #[error("PolicyAdminFileNotFoundException Not found: {0}")]
    FileNotFound(File),
    /// The file is not what the caller thinks it is.
    #[error("PolicyAdminTokenException {0}: {1}")]
    Token(&'static str, File),
    /// The policy would have errors.
    #[error("PolicyAdminSyntaxException {0}")]
    Syntax(String),
    /// Something else is in the way.
    #[error("PolicyAdminException {0}")]
    Other(String),
    /// It cannot be done here at all. What exactly is for dom0 to know.
    #[error("Internal error. See the log of the policy service in dom0 for details.")]
    Internal(String),
}

impl Refusal {
    /// The request makes no sense.
    pub(super) fn protocol(why: impl Into<String>) -> Self {
        Self::Protocol(why.into())
    }

    /// The exit code of the service.
    pub fn code(&self) -> u8 {
        match self {
            Self::Internal(_) => 2,
            _ => 1,
        }
    }
}
