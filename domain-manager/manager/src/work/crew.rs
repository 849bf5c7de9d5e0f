// SPDX-License-Identifier: GPL-3.0-or-later
//! The daemons that one running domain has.

use std::path::PathBuf;
use std::rc::Rc;

use bulkhead_types::{DomId, DomainUuid, Layout};

use super::Manager;
use crate::daemons::{Launch, MARK_VARIABLE, Supervised, supervise};
use crate::failure::Failure;
use crate::model::{Domain, Property};

impl Manager {
    /// Starts the daemons of a guest, the qrexec daemon first.
    pub(super) fn spawn_crew(
        self: &Rc<Self>,
        domain: &Domain,
        guest: DomId,
    ) -> Result<Vec<Supervised>, Failure> {
        let user = self.model().text(domain, Property::DefaultUser)?;
        let qrexec = self.launch(
            domain,
            "qrexec",
            vec![
                format!("--socket-dir={}", self.layout.qrexec_dir().display()),
                "--direct".to_owned(),
                format!("--uuid={}", domain.uuid),
                guest.to_string(),
                domain.name.to_string(),
                user,
            ],
        );
        let (manager, owner) = (Rc::downgrade(self), domain.uuid.clone());
        let lost = move || {
            if let Some(manager) = manager.upgrade() {
                manager.kill_disposables_of(&owner);
            }
        };
        let mut crew = vec![supervise(qrexec, lost)];
        if let Some(gui) = self.gui_launch(domain, guest) {
            crew.push(supervise(gui, || ()));
        }
        Ok(crew)
    }

    fn gui_launch(&self, domain: &Domain, guest: DomId) -> Option<Launch> {
        let display = self.settings.display.as_ref()?;
        let arguments = [
            ("--domid", guest.to_string()),
            ("--name", domain.name.to_string()),
            ("--label", domain.label.to_string()),
            ("--display", display.clone()),
        ];
        let arguments = arguments.into_iter();
        let arguments = arguments.flat_map(|(option, value)| [option.to_owned(), value]);
        Some(self.launch(domain, "gui", arguments.collect()))
    }

    /// Replaces the GUI daemon of a running domain, whose label has changed.
    pub(super) async fn replace_gui_daemon(self: &Rc<Self>, uuid: &DomainUuid) {
        let old = match self.state.borrow_mut().runs.get_mut(uuid) {
            Some(run) if run.daemons.len() > 1 => run.daemons.pop(),
            _ => None,
        };
        let Some(old) = old else { return };
        old.stop().await;
        let Ok(domain) = self.domain(uuid) else {
            return;
        };
        let guest = self.model().get(uuid).and_then(|entry| entry.life.guest());
        if let Some(guest) = guest
            && let Some(run) = self.state.borrow_mut().runs.get_mut(uuid)
            && let Some(launch) = self.gui_launch(&domain, guest)
        {
            run.daemons.push(supervise(launch, || ()));
        }
    }

    /// Ends all daemons of all domains, before this process ends.
    pub async fn dismiss_crews(&self) {
        let runs: Vec<_> = self.state.borrow_mut().runs.drain().collect();
        let daemons = runs.into_iter().flat_map(|(_, run)| run.daemons);
        let ends: Vec<_> = daemons
            .map(|daemon| tokio::task::spawn_local(daemon.stop()))
            .collect();
        for end in ends {
            if let Err(error) = end.await {
                tracing::error!("ending a daemon broke off: {error}");
            }
        }
    }

    /// Removes the socket and the links of the qrexec daemon that a guest had: it may have been
    /// killed before it had removed all of them itself.
    pub(super) fn clear_sockets(&self, domain: &Domain, guest: DomId) {
        let dir = self.layout.qrexec_dir();
        let names = [
            format!("qrexec.uuid:{}", domain.uuid),
            format!("qrexec.{}", domain.name),
            format!("qrexec.{guest}"),
        ];
        for name in names {
            // Usually it is gone.
            let _ = std::fs::remove_file(dir.join(name));
        }
    }

    fn launch(&self, domain: &Domain, what: &str, arguments: Vec<String>) -> Launch {
        let root = self.layout.root().to_string_lossy().into_owned();
        let mut environment = self.host.child_environment();
        environment.push((Layout::ROOT_VARIABLE.to_owned(), root.clone()));
        environment.push((MARK_VARIABLE.to_owned(), root));
        let name = &domain.name;
        Launch {
            title: format!("{what}-daemon of {name}"),
            program: self.settings.programs.join(format!("{what}-daemon")),
            arguments,
            environment,
            log: self.layout.logs().join(format!("{name}-{what}.log")),
            notify: self.notify_folder().join(format!("{name}-{what}")),
        }
    }

    /// Where daemons say that they are ready.
    pub(super) fn notify_folder(&self) -> PathBuf {
        self.layout.runtime().join("notify")
    }
}
