// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `xl` complains of.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use thiserror::Error;

/// All that `xl` said, kept as an error's source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said(pub String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.trim())
    }
}

impl std::error::Error for Said {}

/// Why `xl` did not do what it was asked.
#[derive(Debug, Error)]
pub enum XlError {
    /// The program could not be started.
    #[error("cannot run `{}`; install the package xen-utils, or run `cargo xtask try` for a machine with Xen", program.display())]
    NotRun {
        /// The program.
        program: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no Xen under this system, or this is not dom0.
    #[error(
        "this machine does not run Xen, or this is not its dom0; boot its Xen entry, or run `cargo xtask try` for a machine with Xen"
    )]
    NoXen(#[source] Said),
    /// The configuration could not be written.
    #[error("cannot write the domain's configuration {}", file.display())]
    ConfigFile {
        /// Where it should go.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A domain of the same name is there.
    #[error("a domain of that name is running already")]
    NameInUse(#[source] Said),
    /// Xen has too little free memory.
    #[error("there is not enough free memory; shut a domain down or give this one less")]
    OutOfMemory(#[source] Said),
    /// The domain is not there (any more).
    #[error("no such domain is running")]
    NoSuchDomain(#[source] Said),
    /// Anything else.
    #[error("`xl {command}` failed ({status})")]
    Failed {
        /// Its subcommand.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        #[source]
        said: Said,
    },
    /// It succeeded but printed something this version does not understand.
    #[error("`xl {command}` printed something unexpected")]
    Output {
        /// Its subcommand.
        command: &'static str,
        /// What it printed.
        #[source]
        said: Said,
    },
}

impl XlError {
    /// Tells failures apart by what `xl` and libxl print (Xen 4.17 to 4.20).
    pub(super) fn from_words(command: String, status: ExitStatus, stderr: &[u8]) -> Self {
        let text = String::from_utf8_lossy(stderr).into_owned();
        let says = |words: &[&str]| words.iter().any(|words| text.contains(words));
        let no_xen = says(&["cannot init xl context", "privileged command interface"]);
        let no_memory = says(&[
            "failed to free memory for the domain",
            "not enough memory",
            "Cannot allocate memory",
            "Could not allocate memory",
        ]);
        let name_in_use = says(&["Domain with name"]) && says(&["already exists"]);
        let absent = says(&[
            "is an invalid domain identifier",
            "Non-existant domain",
            "No such domain",
        ]);
        let said = Said(text);
        match () {
            () if no_xen => Self::NoXen(said),
            () if name_in_use => Self::NameInUse(said),
            () if no_memory => Self::OutOfMemory(said),
            () if absent => Self::NoSuchDomain(said),
            () => Self::Failed {
                command,
                status,
                said,
            },
        }
    }
}
