// SPDX-License-Identifier: MIT OR Apache-2.0
//! Domains through `xl`: the interface Xen keeps stable, with a crash kept outside.
//!
//! A domain is created from a file with typed values only ([`DomainConfig`]): nothing comes
//! on the command line as `key=value`, and no shell is involved.

mod config;
mod console;
mod error;
mod listing;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bulkhead_types::{DomId, DomainName, DomainUuid};

pub use config::{ConfigText, DeviceName, Disk, DiskSource, DomainConfig, InvalidConfigText, Kind};
pub use console::console_tail;
pub use error::{Said, XlError};
pub use listing::{Listed, RunState};

/// The `xl` program of the running Xen.
#[derive(Clone, Debug)]
pub struct Xl {
    program: PathBuf,
}

impl Default for Xl {
    fn default() -> Self {
        Self {
            program: "xl".into(),
        }
    }
}

impl Xl {
    /// Runs `program` instead of the `xl` in `PATH`.
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
        }
    }

    /// Creates a domain from `config` and leaves it paused before its first instruction.
    ///
    /// The configuration is written to `file` (mode 0600, replacing what is there) and stays
    /// there, so that an operator can read or repeat it. No process stays behind: watch
    /// `@releaseDomain` to learn of the domain's end.
    ///
    /// `xl` goes on if the caller is killed meanwhile. Until it is through, it holds a lock
    /// on `file` (flock(2)), so that the next one can wait for what becomes of it.
    pub fn create(&self, config: &DomainConfig, file: &Path) -> Result<DomId, XlError> {
        let unwritable = |source| XlError::ConfigFile {
            file: file.to_owned(),
            source,
        };
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut written = options.open(file).map_err(unwritable)?;
        written
            .write_all(config.to_string().as_bytes())
            .map_err(unwritable)?;
        drop(written);
        self.run_locked(
            file,
            &[
                "create".as_ref(),
                "-q".as_ref(),
                "-p".as_ref(),
                "-e".as_ref(),
                file,
            ],
        )?;
        self.id_of(&config.name)
    }

    /// The id of a running domain.
    pub fn id_of(&self, name: &DomainName) -> Result<DomId, XlError> {
        let said = self.run(&["domid".as_ref(), name.as_str().as_ref()])?;
        said.trim().parse().map_err(|_| XlError::Output {
            command: "domid",
            said: Said(said),
        })
    }

    /// Lets a paused domain run.
    pub fn unpause(&self, domain: DomId) -> Result<(), XlError> {
        self.order("unpause", domain)
    }

    /// Stops a domain in place.
    pub fn pause(&self, domain: DomId) -> Result<(), XlError> {
        self.order("pause", domain)
    }

    /// Asks a domain to end itself and returns at once.
    pub fn shutdown(&self, domain: DomId) -> Result<(), XlError> {
        self.order("shutdown", domain)
    }

    /// Ends a domain without asking it.
    pub fn destroy(&self, domain: DomId) -> Result<(), XlError> {
        self.order("destroy", domain)
    }

    /// The domains there are, dom0 included, with what they were created from.
    pub fn list(&self) -> Result<Vec<Listed>, XlError> {
        let said = self.run(&["list".as_ref(), "-l".as_ref()])?;
        listing::parse_long(&said).ok_or(XlError::Output {
            command: "list -l",
            said: Said(said),
        })
    }

    /// What each domain is doing now, and its memory in MiB.
    pub fn states(&self) -> Result<Vec<RunState>, XlError> {
        let said = self.run(&["list".as_ref()])?;
        listing::parse_table(&said).ok_or(XlError::Output {
            command: "list",
            said: Said(said),
        })
    }

    /// Every domain there is with its UUID, also those that have neither a name nor a recorded
    /// configuration: an `xl` that is killed while it creates one leaves such a domain behind.
    pub fn uuids(&self) -> Result<Vec<(DomId, DomainUuid)>, XlError> {
        let said = self.run(&["vm-list".as_ref()])?;
        listing::parse_uuids(&said).ok_or(XlError::Output {
            command: "vm-list",
            said: Said(said),
        })
    }

    /// Memory in MiB that no domain has.
    pub fn free_memory_mib(&self) -> Result<u64, XlError> {
        let said = self.run(&["info".as_ref(), "free_memory".as_ref()])?;
        said.trim().parse().map_err(|_| XlError::Output {
            command: "info free_memory",
            said: Said(said),
        })
    }

    fn order(&self, command: &'static str, domain: DomId) -> Result<(), XlError> {
        self.run(&[command.as_ref(), domain.to_string().as_ref()])
            .map(drop)
    }

    /// Runs `xl` and returns what it printed.
    fn run(&self, arguments: &[&Path]) -> Result<String, XlError> {
        self.run_as(Command::new(&self.program), arguments)
    }

    /// Runs `xl` with a lock that it inherits, and that goes with it.
    fn run_locked(&self, file: &Path, arguments: &[&Path]) -> Result<String, XlError> {
        let mut flock = Command::new("flock");
        flock.arg(file).arg(&self.program);
        self.run_as(flock, arguments)
    }

    fn run_as(&self, mut command: Command, arguments: &[&Path]) -> Result<String, XlError> {
        let output = command
            .args(arguments)
            // Messages are recognised by their English words.
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .map_err(|source| XlError::NotRun {
                program: self.program.clone(),
                source,
            })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let command = arguments
            .first()
            .map(|c| c.display().to_string())
            .unwrap_or_default();
        Err(XlError::from_words(command, output.status, &output.stderr))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A program in the place of `xl` that notes how it was called and answers as told.
    fn played(folder: &Path, script: &str) -> Xl {
        let program = folder.join("xl");
        // Written by another process: a script still open for writing here could not be run
        // when a test beside this one forks at the wrong moment.
        let written = Command::new("cp")
            .arg("/dev/stdin")
            .arg(&program)
            .stdin(Stdio::piped())
            .spawn();
        let mut writer = written.unwrap();
        let text = format!(
            "#!/bin/sh\necho \"$@\" >> {}/calls\n{script}\n",
            folder.display()
        );
        writer
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        assert!(writer.wait().unwrap().success());
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Xl::at(program)
    }

    fn work() -> DomainConfig {
        DomainConfig {
            name: DomainName::parse("work").unwrap(),
            uuid: None,
            kind: Kind::Pvh,
            memory_mib: 400,
            vcpus: 2,
            kernel: ConfigText::path("/boot/vmlinuz").unwrap(),
            ramdisk: None,
            command_line: ConfigText::text("root=/dev/xvda rw").unwrap(),
            disks: vec![],
        }
    }

    #[test]
    fn a_domain_is_created_paused_and_its_id_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let xl = played(folder.path(), "[ $1 = domid ] && echo 12; true");
        let file = folder.path().join("work.cfg");
        assert_eq!(xl.create(&work(), &file).unwrap().get(), 12);
        let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
        assert_eq!(
            calls,
            format!("create -q -p -e {}\ndomid work\n", file.display())
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), work().to_string());
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn what_xl_complains_of_is_told_apart() {
        let cases = [
            (
                "libxl: error: libxl_domain.c:81:libxl__domain_rename: Domain 3:Domain with name \\\"work\\\" already exists.",
                "a domain of that name is running already",
            ),
            (
                "failed to free memory for the domain",
                "there is not enough free memory",
            ),
            (
                "xencall: error: Could not obtain handle on privileged command interface: No such file or directory\ncannot init xl context",
                "this machine does not run Xen, or this is not its dom0",
            ),
            (
                "work is an invalid domain identifier (rc=-6)",
                "no such domain is running",
            ),
            ("something else", "`xl destroy` failed"),
        ];
        for (words, expected) in cases {
            let folder = tempfile::tempdir().unwrap();
            let xl = played(folder.path(), &format!("echo \"{words}\" >&2; exit 1"));
            let error = xl.destroy(DomId::new(3).unwrap()).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(source.contains(&words[..10]), "{source}");
        }
    }

    #[test]
    fn a_machine_without_xl_is_told_what_to_install() {
        let error = Xl::at("/no/such/xl").list().unwrap_err();
        assert!(error.to_string().contains("xen-utils"), "{error}");
    }
}
