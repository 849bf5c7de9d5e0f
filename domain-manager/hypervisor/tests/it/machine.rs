// SPDX-License-Identifier: GPL-3.0-or-later
//! A machine of its own for each test, with the local back end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bulkhead_hypervisor::conformance::Subject;
use bulkhead_hypervisor::{Disk, GuestKind, GuestSpec, Hypervisor, LocalOptions};
use bulkhead_types::{DomId, DomainName, DomainUuid, Layout, VolumeName};
use bulkhead_vchan::{Endpoints, Transport};
use tempfile::TempDir;

/// The agent of these guests, which needs nothing but a channel.
const AGENT: &str = "#!/bin/sh\nexec /.programs/hypervisor-conformance agent\n";
const INSTALLED: &str = "[[install]]\nfile = 'agent'\nto = '/usr/lib/qubes/qrexec-agent'\n";

pub struct Machine {
    folder: TempDir,
    pub layout: Layout,
}

impl Drop for Machine {
    /// Guests outlive their manager, but not the test.
    fn drop(&mut self) {
        let Ok(hypervisor) = Hypervisor::local(&self.layout, self.options()) else {
            return;
        };
        for guest in hypervisor.list().unwrap_or_default() {
            let _ = hypervisor.destroy(guest.domid);
        }
    }
}

impl Machine {
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let machine = Self {
            layout: Layout::below(folder.path().join("root")),
            folder,
        };
        machine.install("install.toml", INSTALLED);
        machine.install("agent", AGENT);
        machine
    }

    /// Puts a file among those that go into guests.
    pub fn install(&self, name: &str, text: &str) {
        let path = self.guest_files().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn guest_files(&self) -> PathBuf {
        self.folder.path().join("guest")
    }

    pub fn options(&self) -> LocalOptions {
        LocalOptions {
            programs: programs(),
            guest_files: self.guest_files(),
        }
    }

    pub fn open(&self) -> Hypervisor {
        Hypervisor::local(&self.layout, self.options()).unwrap()
    }

    /// A guest with a private volume of its own.
    pub fn guest(&self, name: &str) -> GuestSpec {
        let private = self.folder.path().join("volumes").join(name);
        fs::create_dir_all(&private).unwrap();
        GuestSpec {
            name: DomainName::parse(name).unwrap(),
            uuid: DomainUuid::parse("c0ffee00-1234-4abc-8def-0123456789ab").unwrap(),
            kind: GuestKind::Pvh,
            memory_mib: 64,
            vcpus: 1,
            kernel: None,
            disks: vec![Disk {
                volume: VolumeName::Private,
                path: private,
                read_only: false,
            }],
        }
    }

    /// What a guest's first program wrote into its home.
    pub fn home(&self, name: &str) -> PathBuf {
        self.folder
            .path()
            .join("volumes")
            .join(name)
            .join("home/user")
    }

    pub fn endpoints(&self) -> Endpoints {
        let folder = self.layout.local_vchan_dir();
        Endpoints::new(Transport::Local(folder), DomId::DOM0).unwrap()
    }

    /// This machine as a subject of the conformance suite.
    pub fn subject(&self) -> Subject {
        fs::create_dir_all(self.layout.local_vchan_dir()).unwrap();
        let (layout, options) = (self.layout.clone(), self.options());
        Subject {
            open: Box::new(move || Hypervisor::local(&layout, options.clone())),
            guests: ["one", "two"].map(|name| self.guest(name)),
            endpoints: self.endpoints(),
        }
    }
}

/// The programs of this package, as they were built for the test.
fn programs() -> PathBuf {
    let one = Path::new(env!("CARGO_BIN_EXE_bulkhead-local-guest"));
    one.parent().unwrap().to_owned()
}
