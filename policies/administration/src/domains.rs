// SPDX-License-Identifier: GPL-3.0-or-later
//! The domains there are, for expectations that declare none of their own.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bulkhead_admin::{Destination, Reply, Request};
use bulkhead_policy::System;
use bulkhead_types::{Layout, os_words};

/// How long the domain manager may be silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the domain manager. Without its word there are no domains, and an expectation that needs one
/// is not met.
///
/// # Errors
///
/// Why there is no word, in the form of a sentence's end.
pub(crate) fn domains(layout: &Layout) -> Result<System, String> {
    let answer = ask(layout).map_err(|error| {
        format!(
            "the domain manager cannot be asked: {}",
            os_words(&error.to_string())
        )
    })?;
    let document = match Reply::decode(&answer) {
        Ok(Reply::Ok(document)) => document,
        Ok(Reply::Exception(_)) => return Err("the domain manager does not tell".to_owned()),
        Err(_) => return Err("the domain manager gave no answer".to_owned()),
    };
    serde_json::from_slice(&document)
        .map_err(|_| "the domain manager's word on them makes no sense here".to_owned())
}

fn ask(layout: &Layout) -> std::io::Result<Vec<u8>> {
    let method = "internal.GetSystemInfo"
        .parse()
        .map_err(std::io::Error::other)?;
    let request = Request::from_dom0(method, Destination::dom0(), Vec::new());
    let mut stream = UnixStream::connect(layout.internal_socket())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&request.encode())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}
