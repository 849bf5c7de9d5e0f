// SPDX-License-Identifier: GPL-3.0-or-later
//! Giving files of dom0 to domains. Nothing comes back.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use bulkhead_files::open::Request;
use bulkhead_types::DomainName;

use crate::call::{beside, exit_code, no_client, qrexec_client};
use crate::client::Client;
use crate::failure::Failure;

/// Shows a file in a domain and waits until the viewer is closed.
pub fn open(client: &Client, domain: &DomainName, path: &Path) -> Result<u8, Failure> {
    let unreadable =
        |error: &io::Error| Failure::new(format!("cannot read {}", path.display())).because(error);
    let mut file = File::open(path).map_err(|error| unreadable(&error))?;
    let name = path.file_name().unwrap_or_default().as_bytes();
    // View only: dom0 takes no file from a domain.
    let request = Request::new(name, true).map_err(|error| {
        Failure::new(format!("{} cannot be opened elsewhere", path.display())).because(&error)
    })?;
    let status = client.status()?;
    client.warn(&status);
    client.domain("admin.vm.Start", domain, b"")?;
    let mut command = qrexec_client(client, &status, domain, None, "qubes.OpenInVM");
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command
        .spawn()
        .map_err(|error| no_client(&command, &error))?;
    let sent = match child.stdin.take() {
        Some(mut input) => input
            .write_all(&request.encode())
            .and_then(|()| io::copy(&mut file, &mut input))
            .map(|_| ()),
        None => Ok(()),
    };
    let ended = child.wait().map_err(|error| no_client(&command, &error))?;
    match (exit_code(ended), sent) {
        (0, Err(error)) => {
            Err(Failure::new(format!("{} was sent incompletely", path.display())).because(&error))
        }
        (code, _) => Ok(code),
    }
}

/// Copies a file into a domain's folder for files from elsewhere.
pub fn copy(client: &Client, path: &Path, domain: &DomainName) -> Result<u8, Failure> {
    if let Err(error) = path.symlink_metadata() {
        return Err(Failure::new(format!("cannot read {}", path.display())).because(&error));
    }
    let status = client.status()?;
    client.warn(&status);
    client.domain("admin.vm.Start", domain, b"")?;
    let mut sender = Command::new(beside("qfile-sender"));
    sender
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut sending = sender.spawn().map_err(|error| no_client(&sender, &error))?;
    let mut command = qrexec_client(client, &status, domain, None, "qubes.Filecopy");
    // The sender's output is what the domain reads, the domain's answer what the sender reads.
    if let (Some(output), Some(input)) = (sending.stdout.take(), sending.stdin.take()) {
        command.stdin(output).stdout(input);
    }
    let called = command.status();
    // Its own ends of both pipes must be closed here, or the sender waits for ever.
    let failed = called
        .as_ref()
        .err()
        .map(|error| no_client(&command, error));
    drop(command);
    let sent = sending.wait().map_err(|error| no_client(&sender, &error))?;
    if let Some(failure) = failed {
        return Err(failure);
    }
    match called.map(exit_code) {
        Ok(0) | Err(_) => Ok(exit_code(sent)),
        Ok(code) => Ok(code),
    }
}
