// SPDX-License-Identifier: GPL-3.0-or-later
//! Services that are sockets of a process that runs already.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use qrexec_protocol::command::ServiceCall;
use qrexec_protocol::exec::Mode;
use qrexec_protocol::service::Shape;
use qrexec_protocol::service_config::ServiceConfig;

use crate::sink;
use crate::start::Started;

/// Tells a service that is a socket of its call, and nothing more where nobody is attached.
pub(crate) fn begin(
    fd: OwnedFd,
    call: &ServiceCall,
    config: &ServiceConfig,
    mode: Mode,
) -> io::Result<Started> {
    if !config.skip_service_descriptor {
        sink::write_all(&fd, format!("{}\0", call.words()).as_bytes())?;
    }
    if mode == Mode::Detached {
        return Ok(Started::Failed(0, Shape::Detached));
    }
    let shape = Shape::Socket {
        until_client_eof: config.exit_on_client_eof,
        until_service_eof: config.exit_on_service_eof,
    };
    Ok(Started::Socket(fd, shape))
}

/// Connects to a socket, also where its path is longer than an address can hold.
pub(crate) fn connect(path: &Path) -> io::Result<UnixStream> {
    let failed = |error: io::Error| io::Error::other(format!("{}: {error}", path.display()));
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(error);
            };
            let dir = File::open(dir)?;
            let near = Path::new("/proc/self/fd")
                .join(dir.as_raw_fd().to_string())
                .join(name);
            UnixStream::connect(near).map_err(failed)
        }
        other => other.map_err(failed),
    }
}
