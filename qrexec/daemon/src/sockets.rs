// SPDX-License-Identifier: GPL-3.0-or-later
//! The socket on which dom0's programs find this daemon, and its links.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::Domain;

/// The listening socket; it and its links are removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub listener: UnixListener,
    paths: Vec<PathBuf>,
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Sockets {
    /// Makes `qrexec.ID` and the links `qrexec.NAME` and `qrexec.uuid:UUID`, over whatever an
    /// earlier daemon left there.
    pub fn new(dir: &Path, domain: &Domain) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let name = format!("qrexec.{}", domain.id);
        let path = dir.join(&name);
        remove(&path)?;
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        // Whoever may come here makes calls of dom0, which policy is not asked about.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660))?;
        let mut sockets = Self {
            listener,
            paths: vec![path],
        };
        for text in [domain.name.to_string(), format!("uuid:{}", domain.uuid)] {
            let link = dir.join(format!("qrexec.{text}"));
            remove(&link)?;
            symlink(&name, &link)?;
            sockets.paths.push(link);
        }
        Ok(sockets)
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        // Links first, so that nobody follows one to nothing.
        for path in self.paths.iter().rev() {
            let _ = remove(path);
        }
    }
}
