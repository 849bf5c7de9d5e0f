// SPDX-License-Identifier: GPL-3.0-or-later
//! Why a request was not carried out, and the name under which clients know it.

use bulkhead_admin::Exception;
use bulkhead_types::{DomainName, InvalidLabel};
use thiserror::Error;

/// A refused or failed request.
///
/// Every variant has a kind from the list that clients of the Admin API turn into classes
/// of their own (specification of the domain manager, 1.3).
#[derive(Debug, Error)]
pub enum Failure {
    /// No domain has that name or UUID.
    #[error("there is no domain `{0}`")]
    NoSuchDomain(String),
    /// The name is taken.
    #[error("there is already a domain `{0}`")]
    AlreadyExists(DomainName),
    /// The name breaks the rules for names, or another argument makes no sense.
    #[error("{0}")]
    BadArgument(String),
    /// Others depend on the domain.
    #[error("domain `{name}` is in use: {users}")]
    InUse {
        /// The domain.
        name: DomainName,
        /// Who uses it and as what.
        users: String,
    },
    /// The domain has to be halted for that.
    #[error("domain `{0}` is not halted; run `bulkhead stop {0}` first")]
    NotHalted(DomainName),
    /// The domain has to be running for that.
    #[error("domain `{0}` is not running; run `bulkhead start {0}` first")]
    NotRunning(DomainName),
    /// The domain has to be paused for that.
    #[error("domain `{0}` is not paused")]
    NotPaused(DomainName),
    /// No property has that name, or not on this kind of domain.
    #[error("domain `{domain}` has no property `{property}`")]
    NoSuchProperty {
        /// The domain, or `dom0` for the system.
        domain: DomainName,
        /// The name asked for.
        property: String,
    },
    /// The property cannot have that value.
    #[error("property `{property}`: {reason}")]
    BadValue {
        /// The property's name.
        property: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// No label has that name.
    #[error(transparent)]
    NoSuchLabel(#[from] InvalidLabel),
    /// The class needs a template and none was named, or the named one cannot serve.
    #[error("{0}")]
    NoTemplate(String),
    /// The request is not one of this method, or there is no such method.
    #[error("{0}")]
    Protocol(String),
    /// The caller may not ask for that.
    #[error("{0}")]
    Denied(String),
    /// The guest did not shut down in time.
    #[error(
        "domain `{name}` did not shut down within {seconds} s; `bulkhead kill {name}` ends it at once"
    )]
    ShutdownTimeout {
        /// The domain.
        name: DomainName,
        /// The limit.
        seconds: u64,
    },
    /// The start failed; everything it had made was taken back.
    #[error("domain `{name}` did not start: {reason}{}", console_text(.console))]
    StartFailed {
        /// The domain.
        name: DomainName,
        /// What went wrong, at which stage.
        reason: String,
        /// The last lines of the guest's console, if it had one.
        console: String,
        /// Whether memory was what lacked.
        out_of_memory: bool,
    },
    /// The pool or a volume refused.
    #[error("{0}")]
    Storage(String),
    /// The hypervisor refused.
    #[error("{0}")]
    Hypervisor(String),
    /// The database refused; nothing was changed.
    #[error("the database refused: {0}; nothing was changed")]
    Database(#[from] rusqlite::Error),
    /// A broken invariant of ours.
    #[error("{0}; this is a defect of bulkheadd, see its log")]
    Defect(String),
}

fn console_text(console: &str) -> String {
    if console.trim().is_empty() {
        return String::new();
    }
    let lines: Vec<String> = console.lines().map(|line| format!("    {line}")).collect();
    format!("\nthe end of its console:\n{}", lines.join("\n"))
}

impl Failure {
    /// The kind, as clients know it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoSuchDomain(_) => "QubesVMNotFoundError",
            Self::AlreadyExists(_) => "QubesVMAlreadyExistsError",
            Self::BadArgument(_) => "QubesValueError",
            Self::InUse { .. } => "QubesVMInUseError",
            Self::NotHalted(_) => "QubesVMNotHaltedError",
            Self::NotRunning(_) => "QubesVMNotRunningError",
            Self::NotPaused(_) => "QubesVMNotPausedError",
            Self::NoSuchProperty { .. } => "QubesNoSuchPropertyError",
            Self::BadValue { .. } => "QubesPropertyValueError",
            Self::NoSuchLabel(_) => "QubesLabelNotFoundError",
            Self::NoTemplate(_) => "QubesNoTemplateError",
            Self::Protocol(_) => "ProtocolError",
            Self::Denied(_) => "PermissionDenied",
            Self::ShutdownTimeout { .. } => "QubesVMShutdownTimeoutError",
            Self::StartFailed {
                out_of_memory: true,
                ..
            } => "QubesMemoryError",
            Self::StartFailed { .. } | Self::Hypervisor(_) => "QubesVMError",
            Self::Storage(_) => "StoragePoolException",
            Self::Database(_) | Self::Defect(_) => "QubesException",
        }
    }

    /// The reply's form of this failure.
    pub fn exception(&self) -> Exception {
        Exception {
            kind: self.kind().to_owned(),
            message: self.to_string(),
        }
    }

    /// A value that a property cannot have.
    pub fn bad_value(property: impl ToString, reason: impl ToString) -> Self {
        Self::BadValue {
            property: property.to_string(),
            reason: reason.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_never_answers_shows_the_end_of_its_console() {
        let failure = Failure::StartFailed {
            name: "work".parse().unwrap(),
            reason: "its agent did not answer within 2 s".into(),
            console: "mounting /rw\nkernel panic\n".into(),
            out_of_memory: false,
        };
        insta::assert_snapshot!(failure, @r"
        domain `work` did not start: its agent did not answer within 2 s
        the end of its console:
            mounting /rw
            kernel panic
        ");
        assert_eq!(failure.kind(), "QubesVMError");
    }
}
