// SPDX-License-Identifier: GPL-3.0-or-later
//! Guests as process trees: the back end for machines without Xen.
//!
//! ```text
//! manager ──starts──> bulkhead-local-guest ──parent of──> bwrap ──> bulkhead-local-init (pid 1)
//!    │  orders over a socket │  holds a lock while the guest lives      ├─ qrexec-agent
//!    └──────────────────────>┘                                          └─ session
//! ```
//!
//! The supervisor `bulkhead-local-guest` outlives the manager. A manager that comes back
//! finds the guest's folder and, as the supervisor holds a lock in it, knows that the guest
//! lives; when the lock is free, the guest has ended. No process number is ever trusted: one
//! may have been given to somebody else. If the supervisor is killed, the kernel kills
//! the guest with it.

mod control;
mod folder;
mod install;
mod sandbox;
mod system;
mod watch;

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use bulkhead_types::{DomId, DomainName, Layout};

use crate::console;
use crate::deaths::Deaths;
use crate::error::{Cause, ControlError, CreateError, ListError, OpenError};
use crate::files;
use crate::local_guest::{GuestFolder, GuestRecord, Order};
use crate::spec::{GuestSpec, RunningGuest};
use install::InstallList;
use system::SharedSystem;
use watch::Watch;

/// What the local back end needs to know of the installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalOptions {
    /// Where our programs are, those for guests among them: `/usr/lib/bulkhead`, or a
    /// source tree's `target/debug`.
    pub programs: PathBuf,
    /// The folder with `install.toml`, the list of what goes into a guest, and the files
    /// it names: `templates/guest` of a source tree.
    pub guest_files: PathBuf,
}

/// The supervisor of a guest.
const SUPERVISOR: &str = "bulkhead-local-guest";
/// The first process of a guest.
const INIT: &str = "bulkhead-local-init";
/// How many lines of its console tell why a guest did not come up.
const CONSOLE_IN_ERROR: usize = 10;

/// The local back end.
#[derive(Debug)]
pub struct LocalHypervisor {
    layout: Layout,
    options: LocalOptions,
    system: SharedSystem,
    watch: Arc<Watch>,
    /// One creation at a time, so that two of one name cannot pass each other.
    creation: Mutex<()>,
}

impl LocalHypervisor {
    /// What a user must be told.
    pub const WARNING: &'static str = "the local back end isolates nothing: its guests are \
        ordinary processes of this machine, for trying and testing only";

    pub(crate) fn open(layout: &Layout, options: LocalOptions) -> Result<Self, OpenError> {
        for program in [SUPERVISOR, INIT] {
            let path = options.programs.join(program);
            if !path.is_file() {
                return Err(OpenError::NoProgram(path));
            }
        }
        if !sandbox::is_installed() {
            return Err(OpenError::NoProgram("bwrap".into()));
        }
        let installed = InstallList::read(&options.guest_files)?;
        let all = folder::of_all(layout);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| OpenError::Failed {
                path,
                source: source.into(),
            }
        };
        for path in [layout.local_vchan_dir(), all.clone(), layout.logs()] {
            fs::create_dir_all(&path).map_err(failed(&path))?;
        }
        let watch = Arc::new(Watch::new(layout.local_vchan_dir()));
        adopt(layout, &watch).map_err(failed(&all))?;
        let (usr, in_use) = (folder::shared_usr(layout), !watch.list().is_empty());
        let system = SharedSystem::prepare(usr.clone(), &options, &installed, in_use);
        Ok(Self {
            layout: layout.clone(),
            options,
            system: system.map_err(failed(&usr))?,
            watch,
            creation: Mutex::default(),
        })
    }

    pub(crate) fn create(&self, spec: &GuestSpec) -> Result<DomId, CreateError> {
        files::look_for(spec)?;
        let _alone = self.creation.lock().unwrap_or_else(PoisonError::into_inner);
        let guest = GuestFolder::new(self.layout.local_guest_dir(&spec.name));
        if guest.is_alive() || self.watch.has(&spec.name) {
            return Err(CreateError::NameTaken(spec.name.clone()));
        }
        let record = GuestRecord {
            domid: DomId::DOM0,
            name: spec.name.clone(),
            uuid: spec.uuid.clone(),
            memory_mib: spec.memory_mib,
        };
        match self.bring_up(spec, &guest, record) {
            Ok((record, supervisor)) => {
                self.watch.add(guest, &record, Some(supervisor));
                Ok(record.domid)
            }
            Err(source) => {
                // The first error is the one to tell; the next creation tries again.
                let _ = fs::remove_dir_all(guest.path());
                Err(CreateError::Failed {
                    name: spec.name.clone(),
                    source,
                })
            }
        }
    }

    fn bring_up(
        &self,
        spec: &GuestSpec,
        guest: &GuestFolder,
        mut record: GuestRecord,
    ) -> Result<(GuestRecord, Child), Cause> {
        if guest.path().exists() {
            fs::remove_dir_all(guest.path())?;
        }
        record.domid = folder::next_domid(&self.layout)?;
        guest.make(&record)?;
        let log = self.console_log(&spec.name);
        fs::write(&log, "")?;
        let arguments = sandbox::arguments(&sandbox::Sandbox {
            spec,
            domid: record.domid,
            guest: guest.path(),
            vchans: &self.layout.local_vchan_dir(),
            options: &self.options,
            system: &self.system,
        })?;
        let mut supervisor = Command::new(self.options.programs.join(SUPERVISOR))
            .arg(guest.path())
            .arg(&log)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // It outlives us, so nothing that marks our children may mark it.
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            // A terminal's interrupt is for the manager alone.
            .process_group(0)
            .spawn()?;
        let mut answer = String::new();
        if let Some(stdout) = supervisor.stdout.take() {
            BufReader::new(stdout).read_line(&mut answer)?;
        }
        if answer.trim_end() == "ready" {
            return Ok((record, supervisor));
        }
        // It has given up or is about to.
        let _ = supervisor.kill();
        supervisor.wait()?;
        Err(not_ready(answer.trim_end(), &log).into())
    }

    pub(crate) fn unpause(&self, guest: DomId) -> Result<(), ControlError> {
        self.order(guest, Order::Run, "unpaused")
    }

    pub(crate) fn pause(&self, guest: DomId) -> Result<(), ControlError> {
        self.order(guest, Order::Pause, "paused")
    }

    pub(crate) fn request_shutdown(&self, guest: DomId) -> Result<(), ControlError> {
        self.order(guest, Order::Shutdown, "asked to shut down")
    }

    pub(crate) fn destroy(&self, guest: DomId) -> Result<(), ControlError> {
        self.order(guest, Order::Destroy, "destroyed")?;
        self.watch.wait_until_gone(guest);
        Ok(())
    }

    pub(crate) fn clear_after(&self, guest: DomId) -> Result<(), ControlError> {
        self.watch
            .clear_meetings(guest)
            .map_err(|source| ControlError::Failed {
                domid: guest,
                done: "cleared away",
                source: source.into(),
            })
    }

    fn order(&self, guest: DomId, order: Order, done: &'static str) -> Result<(), ControlError> {
        let folder = self.watch.folder(guest);
        let folder = folder.ok_or(ControlError::NoSuchGuest(guest))?;
        match control::send(&folder, order) {
            // It ended meanwhile, which is all that is wanted of a destruction.
            Err(_) if order == Order::Destroy && !folder.is_alive() => Ok(()),
            Err(_) if !folder.is_alive() => Err(ControlError::NoSuchGuest(guest)),
            answer => answer.map_err(|source| ControlError::Failed {
                domid: guest,
                done,
                source,
            }),
        }
    }

    pub(crate) fn list(&self) -> Result<Vec<RunningGuest>, ListError> {
        Ok(self.watch.list())
    }

    pub(crate) fn deaths(&self) -> Deaths {
        self.watch.deaths()
    }

    pub(crate) fn console_tail(&self, guest: &DomainName, lines: usize) -> String {
        console::tail(&self.console_log(guest), lines)
    }

    fn console_log(&self, guest: &DomainName) -> PathBuf {
        self.layout.logs().join(format!("{guest}-console.log"))
    }

    pub(crate) fn child_environment(&self) -> Vec<(String, String)> {
        let vchans = self.layout.local_vchan_dir();
        vec![
            (
                "BULKHEAD_VCHAN".into(),
                format!("local:{}", vchans.display()),
            ),
            ("VCHAN_DOMAIN".into(), DomId::DOM0.to_string()),
        ]
    }
}

/// Takes over the guests that run and clears away what dead ones left.
fn adopt(layout: &Layout, watch: &Arc<Watch>) -> io::Result<()> {
    for guest in folder::guests(layout)? {
        match guest.record() {
            Some(record) if guest.is_alive() => watch.add(guest, &record, None),
            record => {
                let domid = record.map(|record| record.domid);
                watch.clear_away(&guest, domid)?;
            }
        }
    }
    Ok(())
}

fn not_ready(answer: &str, log: &Path) -> String {
    let console = console::tail(log, CONSOLE_IN_ERROR);
    match (answer, console.as_str()) {
        ("", "") => "its supervisor ended without a word".to_owned(),
        ("", console) => console.to_owned(),
        (answer, "") => answer.to_owned(),
        (answer, console) => format!("{answer}: {console}"),
    }
}
