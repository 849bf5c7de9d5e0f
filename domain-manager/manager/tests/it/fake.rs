// SPDX-License-Identifier: GPL-3.0-or-later
//! A machine whose volumes are folders and whose guests are files.
//!
//! How it behaves is said by files named `behave/DOMAIN`: `full` (no space for volumes),
//! `no-memory`, `stubborn` (ignores a request to shut down), `silent` (the agent never
//! answers).

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use bulkhead_hypervisor::{Death, GuestSpec, GuestState, RunningGuest};
use bulkhead_storage::{KnownDomain, Life, Repaired, StartedVolume, VolumeSpec};
use bulkhead_types::{DomId, DomainName};
use bulkheadd::host::{Host, HostError, HostErrorKind};

pub struct FakeMachine {
    dir: PathBuf,
    deaths: Mutex<Vec<Sender<Death>>>,
}

fn err(kind: HostErrorKind) -> impl Fn(io::Error) -> HostError {
    move |error| HostError::new(kind, &error)
}

fn refused(kind: HostErrorKind, message: &str) -> HostError {
    HostError {
        kind,
        message: message.to_owned(),
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl FakeMachine {
    pub fn at(dir: &Path) -> Self {
        for name in ["volumes", "guests", "behave", "daemons", "programs"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        Self {
            dir: dir.to_owned(),
            deaths: Mutex::default(),
        }
    }

    fn behaves(&self, domain: &DomainName, how: &str) -> bool {
        fs::read_to_string(self.dir.join("behave").join(domain.as_str()))
            .is_ok_and(|text| text == how)
    }

    fn volumes(&self, domain: &DomainName) -> PathBuf {
        self.dir.join("volumes").join(domain.as_str())
    }

    fn guest(&self, domid: DomId) -> Result<RunningGuest, HostError> {
        let guests = self.guests()?;
        let found = guests.into_iter().find(|guest| guest.domid == domid);
        found.ok_or_else(|| refused(HostErrorKind::NoSuchGuest, "no such guest"))
    }

    fn write_guest(&self, guest: &RunningGuest, state: &str) -> Result<(), HostError> {
        let text = format!("{} {} {state}", guest.domid, guest.uuid);
        let path = self.dir.join("guests").join(guest.name.as_str());
        let part = self.dir.join(format!("{}.part", guest.name));
        fs::write(&part, text)
            .and_then(|()| fs::rename(part, path))
            .map_err(err(HostErrorKind::Other))
    }

    fn end(&self, guest: &RunningGuest) -> Result<(), HostError> {
        let removed = fs::remove_file(self.dir.join("guests").join(guest.name.as_str()));
        absent_is_fine(removed).map_err(err(HostErrorKind::Other))?;
        let death = Death {
            domid: guest.domid,
            name: guest.name.clone(),
        };
        self.deaths
            .lock()
            .unwrap()
            .retain(|sender| sender.send(death.clone()).is_ok());
        Ok(())
    }
}

impl Host for FakeMachine {
    fn create_volumes(
        &self,
        domain: &DomainName,
        _: &[VolumeSpec],
        _: Option<&Path>,
    ) -> Result<(), HostError> {
        if self.behaves(domain, "full") {
            return Err(refused(
                HostErrorKind::Storage,
                &format!(
                    "the pool is full: there is no space for the private volume of `{domain}`"
                ),
            ));
        }
        fs::create_dir(self.volumes(domain)).map_err(err(HostErrorKind::Storage))
    }

    fn start_volumes(
        &self,
        domain: &DomainName,
        volumes: &[VolumeSpec],
    ) -> Result<Vec<StartedVolume>, HostError> {
        for volume in volumes {
            let owner = match &volume.life {
                Life::Kept => domain,
                Life::CopyOf(source) => source,
                Life::Scratch => continue,
            };
            if !self.volumes(owner).is_dir() {
                return Err(refused(
                    HostErrorKind::Storage,
                    &format!("the {} volume of `{owner}` is not there", volume.name),
                ));
            }
        }
        let folder = self.volumes(domain);
        fs::create_dir_all(&folder).map_err(err(HostErrorKind::Storage))?;
        fs::write(folder.join("run"), "").map_err(err(HostErrorKind::Storage))?;
        let started = volumes.iter().map(|volume| StartedVolume {
            name: volume.name,
            path: folder.join("run"),
        });
        Ok(started.collect())
    }

    fn stop_volumes(&self, domain: &DomainName, volumes: &[VolumeSpec]) -> Result<(), HostError> {
        let folder = self.volumes(domain);
        absent_is_fine(fs::remove_file(folder.join("run"))).map_err(err(HostErrorKind::Storage))?;
        if !volumes.iter().any(|volume| volume.life == Life::Kept) {
            absent_is_fine(fs::remove_dir(folder)).map_err(err(HostErrorKind::Storage))?;
        }
        Ok(())
    }

    fn remove_volumes(&self, domain: &DomainName) -> Result<(), HostError> {
        absent_is_fine(fs::remove_dir_all(self.volumes(domain)))
            .map_err(err(HostErrorKind::Storage))
    }

    fn repair_volumes(&self, known: &[KnownDomain]) -> Result<Repaired, HostError> {
        let mut repaired = Repaired::default();
        for entry in fs::read_dir(self.dir.join("volumes"))
            .map_err(err(HostErrorKind::Storage))?
            .flatten()
        {
            let name = entry.file_name().into_string().unwrap();
            if !known.iter().any(|domain| domain.name.as_str() == name) {
                fs::remove_dir_all(entry.path()).map_err(err(HostErrorKind::Storage))?;
                repaired.orphans.push(name);
            }
        }
        for domain in known.iter().filter(|domain| !domain.running) {
            self.stop_volumes(&domain.name, &domain.volumes)?;
        }
        Ok(repaired)
    }

    fn create_guest(&self, spec: &GuestSpec) -> Result<DomId, HostError> {
        if self.behaves(&spec.name, "no-memory") {
            return Err(refused(
                HostErrorKind::OutOfMemory,
                "there is not enough free memory",
            ));
        }
        let counter = self.dir.join("last-id");
        let last = fs::read_to_string(&counter)
            .unwrap_or_default()
            .parse::<u32>()
            .unwrap_or(0);
        fs::write(&counter, (last + 1).to_string()).map_err(err(HostErrorKind::Other))?;
        let guest = RunningGuest {
            domid: DomId::new(last + 1).unwrap(),
            name: spec.name.clone(),
            uuid: spec.uuid.clone(),
            state: GuestState::Paused,
            memory_kib: 0,
        };
        self.write_guest(&guest, "paused")?;
        Ok(guest.domid)
    }

    fn unpause_guest(&self, guest: DomId) -> Result<(), HostError> {
        self.write_guest(&self.guest(guest)?, "running")
    }

    fn pause_guest(&self, guest: DomId) -> Result<(), HostError> {
        self.write_guest(&self.guest(guest)?, "paused")
    }

    fn request_shutdown(&self, guest: DomId) -> Result<(), HostError> {
        let guest = self.guest(guest)?;
        match self.behaves(&guest.name, "stubborn") {
            true => Ok(()),
            false => self.end(&guest),
        }
    }

    fn destroy_guest(&self, guest: DomId) -> Result<(), HostError> {
        match self.guest(guest) {
            Ok(guest) => self.end(&guest),
            Err(_) => Ok(()),
        }
    }

    fn clear_after_guest(&self, _: DomId) -> Result<(), HostError> {
        // Its guests leave nothing but what is removed with them.
        Ok(())
    }

    fn guests(&self) -> Result<Vec<RunningGuest>, HostError> {
        let mut guests = Vec::new();
        for entry in fs::read_dir(self.dir.join("guests"))
            .map_err(err(HostErrorKind::Other))?
            .flatten()
        {
            let Ok(text) = fs::read_to_string(entry.path()) else {
                continue;
            };
            let parts: Vec<&str> = text.split(' ').collect();
            guests.push(RunningGuest {
                domid: parts[0].parse().unwrap(),
                name: entry.file_name().to_str().unwrap().parse().unwrap(),
                uuid: parts[1].parse().unwrap(),
                state: if parts[2] == "paused" {
                    GuestState::Paused
                } else {
                    GuestState::Running
                },
                memory_kib: 0,
            });
        }
        Ok(guests)
    }

    fn deaths(&self) -> Box<dyn Iterator<Item = Death> + Send> {
        let (sender, receiver) = channel();
        self.deaths.lock().unwrap().push(sender.clone());
        // The test kills a guest by sending its name here.
        let path = self.dir.join("kill.sock");
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(path).unwrap();
        let dir = self.dir.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok(length) = socket.recv(&mut buffer) {
                let name = std::str::from_utf8(&buffer[..length]).unwrap();
                let path = dir.join("guests").join(name);
                let text = fs::read_to_string(&path).unwrap();
                fs::remove_file(path).unwrap();
                let domid = text.split(' ').next().unwrap().parse().unwrap();
                let _ = sender.send(Death {
                    domid,
                    name: name.parse().unwrap(),
                });
            }
        });
        Box::new(receiver.into_iter())
    }

    fn console_tail(&self, guest: &DomainName) -> String {
        format!("{guest} boots\n{guest}: cannot mount /rw\n")
    }

    fn child_environment(&self) -> Vec<(String, String)> {
        vec![(
            "FAKE_MACHINE".to_owned(),
            self.dir.to_str().unwrap().to_owned(),
        )]
    }

    fn warning(&self) -> Option<String> {
        None
    }
}

/// A qrexec daemon: says that its agent is there, unless its domain is to be silent.
pub fn qrexec_daemon() {
    let dir = PathBuf::from(std::env::var_os("FAKE_MACHINE").unwrap());
    let arguments = std::env::var("FAKE_ARGUMENTS").unwrap();
    let name = arguments.split(' ').nth(4).unwrap();
    fs::write(
        dir.join("daemons").join(name),
        std::process::id().to_string(),
    )
    .unwrap();
    let behaviour = fs::read_to_string(dir.join("behave").join(name)).unwrap_or_default();
    if behaviour != "silent" {
        let socket = UnixDatagram::unbound().unwrap();
        socket
            .send_to(b"READY=1", std::env::var_os("NOTIFY_SOCKET").unwrap())
            .unwrap();
    }
    loop {
        std::thread::park();
    }
}
