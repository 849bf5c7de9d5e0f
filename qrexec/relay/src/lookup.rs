// SPDX-License-Identifier: GPL-3.0-or-later
//! Finding a service and its configuration by name.
//!
//! Every directory is tried for `NAME+ARGUMENT` (a missing argument counts as an empty one), then
//! every directory for `NAME`. What is absent, or has a name too long for a file, is passed over;
//! any other trouble ends the search, so that a broken service is never replaced by another one.

use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bulkhead_types::{SERVICE_NAME_MAX, Service};
use nix::fcntl::OFlag;
use nix::unistd::{AccessFlags, eaccess};
use qrexec_protocol::service_config::{BadConfig, ServiceConfig};
use thiserror::Error;

use crate::tcp::TcpLink;

/// Directories in the order in which they are searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchPath(Vec<PathBuf>);

/// What a service turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A program.
    Program(PathBuf),
    /// A Unix socket.
    Socket(PathBuf),
    /// A link to `/dev/tcp/…`.
    Tcp(TcpLink),
    /// No such service.
    Nothing,
}

/// Why a service cannot be used although something of its name is there.
#[derive(Debug, Error)]
pub enum LookupError {
    /// A directory entry could not be looked at.
    #[error("cannot look at {}", .path.display())]
    Unreadable {
        /// The entry.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no socket, no TCP link, and not executable.
    #[error("{} cannot be executed", .0.display())]
    NotExecutable(PathBuf),
    /// It is a link below `/dev/tcp` that says nothing useful.
    #[error("{} links to something that is no TCP address", .0.display())]
    BadTcpLink(PathBuf),
    /// The configuration is a pipe, a device or a socket, which could keep its reader waiting.
    #[error("the configuration {} is no file", .0.display())]
    NoFile(PathBuf),
    /// The configuration has an error.
    #[error("the configuration {} cannot be used", .path.display())]
    BadConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: BadConfig,
    },
}

impl SearchPath {
    /// The directories in the environment variable `variable`, separated by `:`, or else those of
    /// `defaults` below `root`.
    fn from_environment(variable: &str, root: &Path, defaults: [&str; 3]) -> Self {
        Self(match std::env::var_os(variable) {
            Some(text) => std::env::split_paths(&text).collect(),
            None => defaults.map(|path| root.join(path)).into(),
        })
    }

    /// No directory: nothing is ever found.
    pub(crate) fn empty() -> Self {
        Self(Vec::new())
    }

    /// Where services are on a machine with this root.
    pub fn services(root: &Path) -> Self {
        let defaults = ["run/qubes-rpc", "usr/local/etc/qubes-rpc", "etc/qubes-rpc"];
        Self::from_environment("QREXEC_SERVICE_PATH", root, defaults)
    }

    /// Where their configuration is.
    pub fn configurations(root: &Path) -> Self {
        let defaults = [
            "run/qubes/rpc-config",
            "usr/local/etc/qubes/rpc-config",
            "etc/qubes/rpc-config",
        ];
        Self::from_environment("QUBES_RPC_CONFIG_PATH", root, defaults)
    }

    /// Each place where something of the service may be, in order.
    fn candidates(&self, service: &Service) -> impl Iterator<Item = PathBuf> {
        let argument = service.argument().map_or("", |argument| argument.as_str());
        let names = [
            format!("{}+{argument}", service.name()),
            service.name().to_string(),
        ];
        let fits = |name: &String| name.len() <= SERVICE_NAME_MAX;
        names
            .into_iter()
            .filter(fits)
            .flat_map(|name| self.0.iter().map(move |dir| dir.join(&name)))
    }

    /// Finds the service.
    pub fn find(&self, service: &Service) -> Result<Found, LookupError> {
        for path in self.candidates(service) {
            if let Some(found) = look_at(&path)? {
                return Ok(found);
            }
        }
        Ok(Found::Nothing)
    }

    /// Reads the service's configuration; without one, everything has its default.
    pub fn configuration(&self, service: &Service) -> Result<ServiceConfig, LookupError> {
        for path in self.candidates(service) {
            match read_file(&path) {
                Ok(Some(bytes)) => {
                    let config = ServiceConfig::parse(&bytes);
                    return config.map_err(|source| LookupError::BadConfig { path, source });
                }
                Ok(None) => return Err(LookupError::NoFile(path)),
                Err(error) if absent(&error) => {}
                Err(source) => return Err(LookupError::Unreadable { path, source }),
            }
        }
        Ok(ServiceConfig::default())
    }
}

/// What a file holds; nothing of what is no file. Nobody is waited for.
fn read_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = fs::File::options()
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn absent(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
}

/// Whether the system can run the file by itself. What it cannot, it would hand to a shell, and no shell
/// may stand between a caller and a service.
fn names_its_interpreter(path: &Path) -> bool {
    let mut first = [0; 4];
    match fs::File::open(path).and_then(|mut file| file.read(&mut first)) {
        Ok(len) => first[..len].starts_with(b"#!") || &first == b"\x7fELF",
        // A program that may be run but not read is none of our business.
        Err(_) => true,
    }
}

fn look_at(path: &Path) -> Result<Option<Found>, LookupError> {
    let unreadable = |source| LookupError::Unreadable {
        path: path.to_owned(),
        source,
    };
    match fs::read_link(path) {
        Ok(text) => {
            if let Some(link) = TcpLink::read(&text) {
                let link = link.map_err(|_| LookupError::BadTcpLink(path.to_owned()))?;
                return Ok(Some(Found::Tcp(link)));
            }
        }
        // EINVAL: not a link.
        Err(error) if error.kind() == ErrorKind::InvalidInput => {}
        Err(error) if absent(&error) => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    }
    let kind = match fs::metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if absent(&error) => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if kind.is_socket() {
        return Ok(Some(Found::Socket(path.to_owned())));
    }
    if kind.is_file() && eaccess(path, AccessFlags::X_OK).is_ok() && names_its_interpreter(path) {
        return Ok(Some(Found::Program(path.to_owned())));
    }
    Err(LookupError::NotExecutable(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn program(path: &Path) {
        fs::write(path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_argument_is_looked_for_everywhere_before_the_bare_name() {
        let root = tempfile::tempdir().unwrap();
        let dirs = [root.path().join("first"), root.path().join("second")];
        dirs.iter().for_each(|dir| fs::create_dir(dir).unwrap());
        let path = SearchPath(dirs.to_vec());
        let find = |text: &str| path.find(&Service::parse(text).unwrap());
        assert_eq!(find("a+x").unwrap(), Found::Nothing);
        program(&dirs[0].join("a"));
        program(&dirs[1].join("a+x"));
        program(&dirs[1].join("a+"));
        assert_eq!(find("a+x").unwrap(), Found::Program(dirs[1].join("a+x")));
        assert_eq!(find("a").unwrap(), Found::Program(dirs[1].join("a+")));
        assert_eq!(
            find(&format!("a+{}", "y".repeat(300))).unwrap(),
            Found::Program(dirs[0].join("a"))
        );
    }

    #[test]
    fn a_broken_service_is_never_replaced_by_another() {
        let root = tempfile::tempdir().unwrap();
        let path = SearchPath(vec![root.path().to_owned()]);
        let find = |text: &str| path.find(&Service::parse(text).unwrap());
        program(&root.path().join("a"));
        fs::write(root.path().join("a+"), "").unwrap();
        assert!(matches!(find("a"), Err(LookupError::NotExecutable(_))));
        program(&root.path().join("b"));
        fs::write(root.path().join("b"), "rm -rf /").unwrap();
        assert!(matches!(find("b"), Err(LookupError::NotExecutable(_))));
        symlink(root.path().join("a/b"), root.path().join("a+dir")).unwrap();
        assert!(matches!(find("a+dir"), Err(LookupError::Unreadable { .. })));
        symlink("/nowhere/at/all", root.path().join("a+gone")).unwrap();
        assert_eq!(
            find("a+gone").unwrap(),
            Found::Program(root.path().join("a"))
        );
        symlink("/dev/tcp/127.0.0.1/80", root.path().join("web")).unwrap();
        assert!(matches!(find("web"), Ok(Found::Tcp(_))));
        symlink("/dev/tcp/", root.path().join("odd")).unwrap();
        assert!(matches!(find("odd"), Err(LookupError::BadTcpLink(_))));
    }
}
