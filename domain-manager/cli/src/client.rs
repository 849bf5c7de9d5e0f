// SPDX-License-Identifier: GPL-3.0-or-later
//! Asking the domain manager.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use bulkhead_admin::{Destination, Reply, Request, Status};
use bulkhead_types::{DomainName, Layout, Service};
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// One installation and the way to its domain manager.
#[derive(Debug)]
pub struct Client {
    layout: Layout,
}

impl Client {
    /// The installation that the environment names.
    pub fn from_environment() -> Self {
        let root = std::env::var_os(Layout::ROOT_VARIABLE);
        let root = root.map_or_else(|| PathBuf::from("/"), PathBuf::from);
        Self {
            layout: Layout::below(root),
        }
    }

    /// Where everything lies.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Asks about the system as a whole.
    pub fn system(&self, method: &str, payload: &[u8]) -> Result<Vec<u8>, Failure> {
        self.ask(
            &self.layout.admin_socket(),
            method,
            Destination::dom0(),
            payload,
        )
    }

    /// Asks about a domain.
    pub fn domain(
        &self,
        method: &str,
        name: &DomainName,
        payload: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        self.ask(
            &self.layout.admin_socket(),
            method,
            Destination::Name(name.clone()),
            payload,
        )
    }

    /// Asks about the system and reads the answer as JSON.
    pub fn system_json<T: DeserializeOwned>(&self, method: &str) -> Result<T, Failure> {
        parse(&self.system(method, b"")?)
    }

    /// Asks about a domain and reads the answer as JSON.
    pub fn domain_json<T: DeserializeOwned>(
        &self,
        method: &str,
        name: &DomainName,
    ) -> Result<T, Failure> {
        parse(&self.domain(method, name, b"")?)
    }

    /// What policy is told about all domains.
    pub fn system_info(&self) -> Result<Vec<u8>, Failure> {
        let socket = self.layout.internal_socket();
        self.ask(&socket, "internal.GetSystemInfo", Destination::dom0(), b"")
    }

    /// How the domain manager is doing.
    pub fn status(&self) -> Result<Status, Failure> {
        self.system_json("bulkhead.Status")
    }

    /// Says on standard error what has to be known before relying on the back end.
    pub fn warn(&self, status: &Status) {
        if let Some(warning) = &status.warning {
            eprintln!("warning: {warning}");
        }
    }

    fn ask(
        &self,
        socket: &Path,
        method: &str,
        destination: Destination,
        payload: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let method = Service::parse(method).map_err(|error| {
            Failure::new(format!("`{method}` cannot be asked for")).because(&error)
        })?;
        let mut stream = UnixStream::connect(socket).map_err(|error| {
            Failure::new(format!(
                "the domain manager cannot be reached at {}",
                socket.display()
            ))
            .because(&error)
            .hint(self.way_to_reach(&error))
        })?;
        let request = Request::from_dom0(method, destination, payload.to_vec());
        let mut exchange = || {
            stream.write_all(&request.encode())?;
            stream.shutdown(Shutdown::Write)?;
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes: Vec<u8> = exchange().map_err(|error: std::io::Error| {
            Failure::new("the domain manager broke the connection off").because(&error)
        })?;
        match Reply::decode(&bytes) {
            Ok(Reply::Ok(content)) => Ok(content),
            Ok(Reply::Exception(exception)) => Err(exception.into()),
            Err(error) => Err(Failure::new("the domain manager gave no answer")
                .because(&error)
                .hint("its log says why: `journalctl -u bulkheadd`")),
        }
    }

    fn way_to_reach(&self, error: &std::io::Error) -> &'static str {
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                "run this as root, or as a member of the group that owns the socket"
            }
            _ if self.layout.root() == Path::new("/") => {
                "start it: `systemctl start bulkheadd`; on a machine without Xen, `cargo xtask try` shows everything in an emulated one"
            }
            _ => "start it: `bulkheadd` with the same BULKHEAD_ROOT",
        }
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::new("the domain manager's answer makes no sense here")
            .because(&error)
            .hint("it may be of another release than this command: `systemctl restart bulkheadd`")
    })
}
