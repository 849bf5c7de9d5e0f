// SPDX-License-Identifier: GPL-3.0-or-later
//! The end of a run: asked for, forced, or found out.

use std::rc::Rc;
use std::time::Duration;

use bulkhead_hypervisor::Death;
use bulkhead_types::{DomId, DomainUuid};

use super::{Manager, QUICK, plan};
use crate::failure::Failure;
use crate::life::{Action, Event, Phase};
use crate::model::{Class, Domain, Property, Stage};
use crate::step::Step;

/// Between two attempts to destroy a guest that the hypervisor does not give up.
const RETRY: Duration = Duration::from_secs(2);
/// How long a caller waits for a kill.
const KILL_PATIENCE: Duration = Duration::from_secs(90);

impl Manager {
    /// Ends a domain at once. A disposable that is removed when it stops is removed when
    /// this returns.
    pub async fn kill(self: &Rc<Self>, uuid: &DomainUuid) -> Result<(), Failure> {
        let domain = self.domain(uuid)?;
        refuse_no_guest(&domain)?;
        let halted = self
            .model()
            .get(uuid)
            .is_some_and(|e| e.life.phase() == Phase::Halted);
        if halted && domain.auto_cleanup() {
            return self.remove(uuid).await;
        }
        let action = self.tell(uuid, Event::Kill)?;
        self.act(uuid, action);
        let ended = self.until(uuid, |entry| {
            let phase = entry.map_or(Phase::Gone, |e| e.life.phase());
            matches!(phase, Phase::Halted | Phase::Gone).then_some(())
        });
        tokio::time::timeout(KILL_PATIENCE, ended).await.map_err(|_| {
            Failure::Hypervisor(format!(
                "domain `{}` is being killed since {} s; the log of bulkheadd says what holds it",
                domain.name,
                KILL_PATIENCE.as_secs()
            ))
        })
    }

    /// Asks a domain to end, and with `wait` waits for that.
    pub async fn shutdown(self: &Rc<Self>, uuid: &DomainUuid, wait: bool) -> Result<(), Failure> {
        let domain = self.domain(uuid)?;
        refuse_no_guest(&domain)?;
        let seconds = self.model().number(&domain, Property::ShutdownTimeout)?;
        let guest = self.model().get(uuid).and_then(|entry| entry.life.guest());
        let action = self.tell(uuid, Event::Shutdown)?;
        if let (Action::RequestShutdown, Some(guest)) = (action, guest) {
            self.host(QUICK, move |host| host.request_shutdown(guest))
                .await?;
            self.done(Step::ShutdownRequested);
        }
        self.act(uuid, action);
        let (manager, uuid) = (self.clone(), uuid.clone());
        let outcome = tokio::task::spawn_local(async move {
            let ended = manager.until(&uuid, |entry| {
                let phase = entry.map_or(Phase::Gone, |e| e.life.phase());
                matches!(phase, Phase::Halted | Phase::Gone).then_some(())
            });
            if tokio::time::timeout(Duration::from_secs(seconds), ended)
                .await
                .is_ok()
            {
                return Ok(());
            }
            // It runs on as if nobody had asked.
            manager.tell(&uuid, Event::ShutdownTimedOut)?;
            Err(Failure::ShutdownTimeout {
                name: domain.name,
                seconds,
            })
        });
        match wait {
            true => outcome
                .await
                .unwrap_or_else(|e| Err(Failure::Defect(e.to_string()))),
            false => Ok(()),
        }
    }

    /// Holds or releases a domain's processors.
    pub async fn hold(self: &Rc<Self>, uuid: &DomainUuid, hold: bool) -> Result<(), Failure> {
        refuse_no_guest(&self.domain(uuid)?)?;
        let event = if hold { Event::Pause } else { Event::Unpause };
        self.would(uuid, event)?;
        let guest = self.model().get(uuid).and_then(|entry| entry.life.guest());
        if let Some(guest) = guest {
            let call = self.host(QUICK, move |host| match hold {
                true => host.pause_guest(guest),
                false => host.unpause_guest(guest),
            });
            call.await?;
        }
        self.tell(uuid, event)?;
        Ok(())
    }

    /// Listens for the ends of guests from now on.
    pub fn listen_for_deaths(self: &Rc<Self>) {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let deaths = self.host.deaths();
        std::thread::spawn(move || {
            for death in deaths {
                if sender.send(death).is_err() {
                    return;
                }
            }
        });
        let manager = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            while let Some(death) = receiver.recv().await {
                let Some(manager) = manager.upgrade() else {
                    return;
                };
                manager.guest_died(&death);
            }
            tracing::error!("the hypervisor does not say any more which guests end");
        });
    }

    /// Hears that a guest is no more.
    pub fn guest_died(self: &Rc<Self>, death: &Death) {
        let uuid = self.model().uuid_of(&death.name).cloned();
        let Some(uuid) = uuid else { return };
        if let Ok(action) = self.tell(&uuid, Event::GuestDied(death.domid)) {
            self.act_on(&uuid, action, "its guest ended before its agent answered");
        }
    }

    /// Kills the disposables that a domain asked for: nobody is left to end them.
    pub(super) fn kill_disposables_of(self: &Rc<Self>, owner: &DomainUuid) {
        let owned: Vec<DomainUuid> = {
            let model = self.model();
            let Some(name) = model.name_of(owner) else {
                return;
            };
            let disposables = model.all().map(|entry| &entry.domain);
            let disposables = disposables.filter(|d| d.dispid.is_some() && d.created_by == *name);
            disposables.map(|d| d.uuid.clone()).collect()
        };
        for uuid in owned {
            let manager = self.clone();
            tokio::task::spawn_local(async move {
                if let Err(failure) = manager.kill(&uuid).await {
                    tracing::warn!("a disposable without owner: {failure}");
                }
            });
        }
    }

    fn act(self: &Rc<Self>, uuid: &DomainUuid, action: Action) {
        self.act_on(uuid, action, "it was stopped before its agent answered");
    }

    fn act_on(self: &Rc<Self>, uuid: &DomainUuid, action: Action, reason: &'static str) {
        match action {
            Action::Bury => {
                let (manager, uuid) = (self.clone(), uuid.clone());
                tokio::task::spawn_local(async move { manager.bury(&uuid).await });
            }
            Action::InterruptStart => {
                if let Some(run) = self.state.borrow().runs.get(uuid) {
                    run.interrupt.send_replace(Some(reason));
                }
            }
            _ => {}
        }
    }

    /// Clears what a run leaves behind: daemons, guest, working copies; then the record, and
    /// the domain itself if it goes with its guest.
    pub(super) async fn bury(self: &Rc<Self>, uuid: &DomainUuid) {
        let Ok(domain) = self.domain(uuid) else {
            return;
        };
        self.kill_disposables_of(uuid);
        let guest = self.model().get(uuid).and_then(|entry| entry.life.guest());
        let run = self.state.borrow_mut().runs.remove(uuid);
        if let Some(guest) = guest {
            self.destroy(guest).await;
        }
        self.done(Step::BuryGuestGone);
        for daemon in run.into_iter().flat_map(|run| run.daemons) {
            daemon.stop().await;
        }
        if let Some(guest) = guest {
            self.clear_sockets(&domain, guest);
            let cleared = self.host(QUICK, move |host| host.clear_after_guest(guest));
            if let Err(failure) = cleared.await {
                tracing::error!("something of {} stays: {failure}", domain.name);
            }
        }
        let volumes = plan::volumes(&self.model(), &domain);
        let stopped = match volumes {
            Ok(volumes) => {
                let name = domain.name.clone();
                self.host(QUICK, move |host| host.stop_volumes(&name, &volumes))
                    .await
                    .map_err(Failure::from)
            }
            Err(failure) => Err(failure),
        };
        if let Err(failure) = stopped {
            // The next start, of the domain or of the manager, begins with putting them away.
            tracing::error!("the volumes of {} are not put away: {failure}", domain.name);
        }
        self.done(Step::BuryVolumesStopped);
        let remove = domain.auto_cleanup();
        let stage = if remove {
            Stage::Removing
        } else {
            Stage::Halted
        };
        if let Err(failure) = self.record(uuid, stage) {
            tracing::error!("the end of {} is not written down: {failure}", domain.name);
        }
        self.done(Step::BuryRecorded);
        tracing::info!("domain {} has ended", domain.name);
        if let Ok(Action::RunRemove) = self.tell(uuid, Event::Buried { remove })
            && let Err(failure) = self.finish_removal(&domain).await
        {
            tracing::error!("disposable {} stays: {failure}", domain.name);
        }
    }

    /// Destroys a guest, however often it takes: its volumes are in use until it is gone.
    async fn destroy(&self, guest: DomId) {
        while let Err(error) = self
            .host(QUICK, move |host| host.destroy_guest(guest))
            .await
        {
            tracing::error!("guest {guest} cannot be destroyed, trying again: {error}");
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// What is only done with guests of this machine.
pub(super) fn refuse_no_guest(domain: &Domain) -> Result<(), Failure> {
    match domain.class {
        Class::AdminVM => Err(Failure::BadArgument(
            "dom0 is this machine; that is not done here".to_owned(),
        )),
        Class::RemoteVM => Err(Failure::BadArgument(format!(
            "`{}` is on another machine; it starts and stops there",
            domain.name
        ))),
        _ => Ok(()),
    }
}
