// SPDX-License-Identifier: GPL-3.0-or-later
//! Whose program plays which part at a site.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whose programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Make {
    /// Those of this workspace.
    Ours,
    /// Those in this folder.
    Other(PathBuf),
}

/// A part in a call. Each domain has its daemon and its agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    WorkDaemon,
    PersonalDaemon,
    WorkAgent,
    PersonalAgent,
    /// The client in dom0.
    Client,
    /// The client in work.
    GuestClient,
    /// What serves calls in the session of personal's user. Most sites have none.
    Session,
}

pub const PARTS: [Part; 6] = [
    Part::WorkDaemon,
    Part::PersonalDaemon,
    Part::WorkAgent,
    Part::PersonalAgent,
    Part::Client,
    Part::GuestClient,
];

impl Part {
    pub fn program(self) -> &'static str {
        match self {
            Self::WorkDaemon | Self::PersonalDaemon => "qrexec-daemon",
            Self::WorkAgent | Self::PersonalAgent => "qrexec-agent",
            Self::Client => "qrexec-client",
            Self::GuestClient => "qrexec-client-vm",
            Self::Session => "qrexec-fork-server",
        }
    }
}

/// Another implementation and the parts that it plays; the others are ours.
#[derive(Clone, Debug)]
pub struct Cast {
    pub other: Option<PathBuf>,
    pub parts: Vec<Part>,
    /// Set where personal's user has a session.
    pub session: Option<Part>,
}

impl Cast {
    /// One make for all parts.
    pub fn all(make: Make) -> Self {
        match make {
            Make::Ours => Self {
                other: None,
                parts: Vec::new(),
                session: None,
            },
            Make::Other(folder) => Self {
                other: Some(folder),
                parts: PARTS.to_vec(),
                session: None,
            },
        }
    }

    pub fn make(&self, part: Part) -> Make {
        match &self.other {
            Some(folder) if self.parts.contains(&part) => Make::Other(folder.clone()),
            _ => Make::Ours,
        }
    }

    /// Whether the other implementation plays this part and knows only version 2, which its folder then says
    /// in a file `protocol-version`.
    pub fn speaks_only_2(&self, part: Part) -> bool {
        match self.make(part) {
            Make::Ours => false,
            Make::Other(folder) => only_2(&folder),
        }
    }

    pub fn is_ours(&self) -> bool {
        self.other.is_none() || self.parts.is_empty()
    }

    /// Copies the programs to where somebody ordinary can run them.
    pub fn install(&self, bin: &Path) {
        let own = own_programs();
        for part in PARTS.into_iter().chain(self.session) {
            let make = self.make(part);
            let from = match &make {
                Make::Ours => own.join(part.program()),
                Make::Other(folder) => folder.join(part.program()),
            };
            let to = place(bin, &make);
            fs::create_dir_all(&to).unwrap();
            let copied = fs::copy(&from, to.join(part.program()));
            copied.unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
        for entry in self
            .other
            .iter()
            .flat_map(|folder| fs::read_dir(folder).unwrap())
        {
            let entry = entry.unwrap();
            let to = place(bin, &Make::Other(PathBuf::new()));
            if entry.file_name().to_string_lossy().contains(".so") && to.is_dir() {
                fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }

    /// The program for a part, below `bin`.
    pub fn command(&self, bin: &Path, part: Part) -> Command {
        let make = self.make(part);
        let folder = place(bin, &make);
        let mut command = Command::new(folder.join(part.program()));
        match make {
            // What is in cargo's own would be looked through by every program that is started.
            Make::Ours => command.env_remove("LD_LIBRARY_PATH"),
            Make::Other(_) => command.env("LD_LIBRARY_PATH", folder),
        };
        command
    }
}

/// The folder with our programs.
pub fn own_programs() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_qrexec-daemon"));
    let named = std::env::var_os("BULKHEAD_PROGRAMS");
    named.map_or_else(|| built.parent().unwrap().to_owned(), PathBuf::from)
}

fn place(bin: &Path, make: &Make) -> PathBuf {
    bin.join(match make {
        Make::Ours => "ours",
        Make::Other(_) => "other",
    })
}

/// Whether a program's help mentions something.
pub fn mentions(folder: &Path, program: &str, word: &str) -> bool {
    let mut command = Command::new(folder.join(program));
    let output = command
        .arg("--help")
        .env("LD_LIBRARY_PATH", folder)
        .output();
    output.is_ok_and(|output| {
        [output.stdout, output.stderr]
            .iter()
            .any(|text| String::from_utf8_lossy(text).contains(word))
    })
}

/// Whether the programs in a folder are of version 2.
pub fn only_2(folder: &Path) -> bool {
    fs::read_to_string(folder.join("protocol-version")).is_ok_and(|text| text.trim() == "2")
}

/// Whether the folder has the program, and it can be run.
pub fn has(folder: &Path, program: &str) -> bool {
    fs::metadata(folder.join(program)).is_ok_and(|found| found.permissions().mode() & 0o111 != 0)
}
