// SPDX-License-Identifier: GPL-3.0-or-later
//! A disposable that lives as long as one call.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bulkhead_admin::Destination;
use bulkhead_types::DomainName;
use qrexec_relay::{DaemonSocket, Interest, wait};

use crate::manager::{self, ManagerError};

/// How long the caller may take to read what a service left behind, once the service has ended.
const DELIVERY: Duration = Duration::from_secs(5);

/// A disposable made for a call. It is destroyed when this is dropped.
#[derive(Debug)]
pub(crate) struct Disposable {
    name: DomainName,
    manager: PathBuf,
}

impl Disposable {
    /// Makes one from `template` for the domain `owner` and waits until its agent has connected.
    pub fn start(
        manager: PathBuf,
        template: Destination,
        owner: &DomainName,
    ) -> Result<Self, ManagerError> {
        let name = manager::create_disposable(&manager, template, owner)?;
        let disposable = Self { name, manager };
        manager::start(&disposable.manager, disposable.destination())?;
        Ok(disposable)
    }

    /// Its name.
    pub fn destination(&self) -> Destination {
        Destination::Name(self.name.clone())
    }

    /// Waits until the call is over: the caller's agent says that the caller has gone (`caller` ends),
    /// which also happens with the whole session; or the service has ended and the caller had time
    /// to read the answer.
    pub fn outlast(self, daemon: &DaemonSocket, caller: &UnixStream) {
        let entry = |readable| Some((readable, Interest::Readable));
        let caller_ends = entry(caller.as_fd());
        let Ok([_, gone]) = wait([entry(daemon.fd()), caller_ends], None) else {
            return;
        };
        if !gone.readable {
            let _ = wait([caller_ends], Some(Instant::now() + DELIVERY));
        }
    }
}

impl Drop for Disposable {
    fn drop(&mut self) {
        match manager::kill(&self.manager, &self.name) {
            Ok(()) => tracing::info!("destroyed the disposable {}", self.name),
            // The manager removes what belongs to a call that has ended when it looks next.
            Err(error) => tracing::error!("cannot destroy the disposable {}: {error}", self.name),
        }
    }
}
