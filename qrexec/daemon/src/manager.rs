// SPDX-License-Identifier: GPL-3.0-or-later
//! What a daemon asks of the domain manager.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use bulkhead_admin::{BadReply, Destination, Exception, Reply, Request};
use bulkhead_types::{DomainName, InvalidDomainName, InvalidService, Service};
use thiserror::Error;

/// The longest reply that is read.
const REPLY_MAX: u64 = 65536;

/// Why the domain manager did not do what was asked.
#[derive(Debug, Error)]
pub(crate) enum ManagerError {
    /// It cannot be reached.
    #[error("the domain manager does not answer")]
    Absent(#[source] io::Error),
    /// It said something that is no reply.
    #[error("the domain manager's reply cannot be used")]
    BadReply(#[from] BadReply),
    /// It named a domain that cannot be one.
    #[error("the domain manager named a domain that cannot be one")]
    BadName(#[from] InvalidDomainName),
    /// The method is misspelt here.
    #[error("no such method")]
    Method(#[from] InvalidService),
    /// It refused.
    #[error("the domain manager refused: {0}")]
    Refused(Exception),
}

/// Makes a disposable from a template, for the domain `owner`.
pub(crate) fn create_disposable(
    socket: &Path,
    template: Destination,
    owner: &DomainName,
) -> Result<DomainName, ManagerError> {
    let source = Destination::Name(owner.clone());
    let reply = ask(socket, "admin.vm.CreateDisposable", source, template)?;
    Ok(DomainName::parse(
        String::from_utf8_lossy(&reply).trim_end(),
    )?)
}

/// Starts a domain and waits until its agent has connected. A domain that runs already is fine.
pub(crate) fn start(socket: &Path, domain: Destination) -> Result<(), ManagerError> {
    match ask(socket, "admin.vm.Start", Destination::dom0(), domain) {
        Err(ManagerError::Refused(exception)) if exception.kind == "QubesVMNotHaltedError" => {
            Ok(())
        }
        result => result.map(drop),
    }
}

/// Destroys a domain; a disposable's volumes go with it.
pub(crate) fn kill(socket: &Path, domain: &DomainName) -> Result<(), ManagerError> {
    let domain = Destination::Name(domain.clone());
    ask(socket, "admin.vm.Kill", Destination::dom0(), domain).map(drop)
}

fn ask(
    socket: &Path,
    method: &str,
    source: Destination,
    destination: Destination,
) -> Result<Vec<u8>, ManagerError> {
    let method = Service::parse(method)?;
    let request = Request {
        method,
        source,
        destination,
        payload: Vec::new(),
    };
    let talk = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.write_all(&request.encode())?;
        stream.shutdown(Shutdown::Write)?;
        let mut bytes = Vec::new();
        stream.take(REPLY_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match Reply::decode(&talk().map_err(ManagerError::Absent)?)? {
        Reply::Ok(content) => Ok(content),
        Reply::Exception(exception) => Err(ManagerError::Refused(exception)),
    }
}
