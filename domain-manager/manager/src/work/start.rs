// SPDX-License-Identifier: GPL-3.0-or-later
//! Bringing a domain up. Whatever goes wrong takes back everything that was made.

use std::rc::Rc;
use std::time::Duration;

use bulkhead_admin::StartReport;
use bulkhead_hypervisor::GuestSpec;
use bulkhead_types::{DomId, DomainUuid};
use tokio::sync::watch;

use super::report::Laps;
use super::{Manager, QUICK, Run, plan};
use crate::daemons::{State, Supervised};
use crate::failure::Failure;
use crate::host::{HostError, HostErrorKind};
use crate::life::{Action, Event, Phase};
use crate::model::{Domain, Property, Stage};
use crate::step::Step;

/// Why a start broke off.
struct Broken {
    reason: String,
    out_of_memory: bool,
}

impl From<HostError> for Broken {
    fn from(error: HostError) -> Self {
        Self {
            reason: error.message,
            out_of_memory: error.kind == HostErrorKind::OutOfMemory,
        }
    }
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self {
            reason: failure.to_string(),
            out_of_memory: false,
        }
    }
}

impl From<String> for Broken {
    fn from(reason: String) -> Self {
        Self {
            reason,
            out_of_memory: false,
        }
    }
}

impl Manager {
    /// Starts a domain and returns when its agent has answered.
    ///
    /// A domain that runs is left as it is; a start under way is waited for.
    pub async fn start(self: &Rc<Self>, uuid: &DomainUuid) -> Result<(), Failure> {
        super::bury::refuse_no_guest(&self.domain(uuid)?)?;
        let busy = |phase| matches!(phase, Phase::Dying | Phase::Halting);
        self.until(uuid, |entry| {
            entry.is_none_or(|e| !busy(e.life.phase())).then_some(())
        })
        .await;
        match self.would(uuid, Event::Start)? {
            Action::RunStart => {
                self.record(uuid, Stage::Starting)?;
                self.done(Step::StartRecorded);
                self.tell(uuid, Event::Start)?;
                // A task of its own: should it panic, the domain is cleared all the same.
                let attempt = tokio::task::spawn_local(self.clone().attempt(uuid.clone()));
                match attempt.await {
                    Ok(outcome) => outcome,
                    Err(_) => {
                        self.break_off(
                            uuid,
                            Laps::begin(),
                            "its start met a defect of bulkheadd".to_owned().into(),
                        )
                        .await
                    }
                }
            }
            _ => self.join_start(uuid).await,
        }
    }

    /// Waits for the start that somebody else began.
    async fn join_start(&self, uuid: &DomainUuid) -> Result<(), Failure> {
        let domain = self.domain(uuid)?;
        let running = self.until(uuid, |entry| match entry.map(|e| e.life.phase()) {
            Some(Phase::Starting) => None,
            Some(Phase::Running) => Some(true),
            _ => Some(false),
        });
        if running.await {
            return self.qrexec_is_back(&domain).await;
        }
        let state = self.state.borrow();
        let reason = state
            .reports
            .get(uuid)
            .and_then(|report| report.failure.clone());
        Err(Failure::StartFailed {
            name: domain.name,
            reason: reason.unwrap_or_else(|| "it was stopped meanwhile".to_owned()),
            console: String::new(),
            out_of_memory: false,
        })
    }

    /// Waits until the qrexec daemon of a running domain has met its agent: it may have been
    /// started anew a moment ago, by this manager or for it.
    async fn qrexec_is_back(&self, domain: &Domain) -> Result<(), Failure> {
        let patience = self.model().number(domain, Property::QrexecTimeout)?;
        let state = {
            let own = self.state.borrow();
            let run = own.runs.get(&domain.uuid);
            run.and_then(|run| run.daemons.first().map(Supervised::state))
        };
        let Some(mut state) = state else {
            return Ok(());
        };
        let met = state.wait_for(|state| *state != State::Starting);
        let reason = match tokio::time::timeout(Duration::from_secs(patience), met).await {
            Ok(Ok(state)) => match &*state {
                State::GivenUp(reason) => format!("its qrexec daemon does not run: {reason}"),
                _ => return Ok(()),
            },
            Ok(Err(_)) => "it was stopped meanwhile".to_owned(),
            Err(_) => format!("its agent did not answer within {patience} s"),
        };
        Err(Failure::StartFailed {
            name: domain.name.clone(),
            reason,
            console: String::new(),
            out_of_memory: false,
        })
    }

    async fn attempt(self: Rc<Self>, uuid: DomainUuid) -> Result<(), Failure> {
        let mut laps = Laps::begin();
        match self.stages(&uuid, &mut laps).await {
            Ok(()) => {
                let report = laps.report(None);
                self.state.borrow_mut().reports.insert(uuid, report);
                Ok(())
            }
            Err(broken) => self.break_off(&uuid, laps, broken).await,
        }
    }

    async fn stages(self: &Rc<Self>, uuid: &DomainUuid, laps: &mut Laps) -> Result<(), Broken> {
        let domain = self.domain(uuid)?;
        let (volumes, mut spec, patience) = {
            let model = self.model();
            let patience = model.number(&domain, Property::QrexecTimeout)?;
            let spec = plan::guest(&model, &domain, &self.layout, self.settings.backend)?;
            (
                plan::volumes(&model, &domain)?,
                spec,
                Duration::from_secs(patience),
            )
        };
        let (interrupt, mut interrupted) = watch::channel(None);
        let run = Run {
            daemons: Vec::new(),
            interrupt,
        };
        self.state.borrow_mut().runs.insert(uuid.clone(), run);

        let name = domain.name.clone();
        let started = self
            .host(QUICK, move |host| host.start_volumes(&name, &volumes))
            .await?;
        spec.disks = plan::disks(started);
        self.done(Step::StartVolumesReady);
        laps.end_of("storage");

        let guest = self.create_guest(spec).await?;
        self.tell(uuid, Event::GuestMade(guest))?;
        self.done(Step::StartGuestCreated);
        laps.end_of("create");

        let daemons = self.spawn_crew(&domain, guest)?;
        let mut qrexec = daemons[0].state();
        if let Some(run) = self.state.borrow_mut().runs.get_mut(uuid) {
            run.daemons = daemons;
        }
        self.done(Step::StartDaemonsSpawned);
        if let Some(reason) = *interrupted.borrow() {
            return Err(reason.to_owned().into());
        }
        self.host(QUICK, move |host| host.unpause_guest(guest))
            .await?;
        self.done(Step::StartGuestReleased);
        laps.end_of("release");

        tokio::select! {
            state = qrexec.wait_for(|state| *state != State::Starting) => match state.map(|s| s.clone()) {
                Ok(State::GivenUp(reason)) => return Err(format!("its qrexec daemon does not run: {reason}").into()),
                Ok(_) => {}
                Err(_) => return Err("its qrexec daemon is not looked after any more".to_owned().into()),
            },
            reason = interrupted.wait_for(Option::is_some) => {
                let reason = reason.ok().and_then(|reason| *reason);
                return Err(reason.unwrap_or("it was interrupted").to_owned().into());
            }
            () = tokio::time::sleep(patience) => {
                return Err(format!("its agent did not answer within {} s", patience.as_secs()).into());
            }
        }
        laps.end_of("agent");
        self.record(uuid, Stage::Running)?;
        self.done(Step::StartFinished);
        self.tell(uuid, Event::Answered)?;
        tracing::info!("domain {} runs as guest {guest}", domain.name);
        Ok(())
    }

    /// Makes the guest. One that appears after the deadline is destroyed as soon as it does.
    async fn create_guest(&self, spec: GuestSpec) -> Result<DomId, HostError> {
        let host = self.host.clone();
        let mut call = tokio::task::spawn_blocking(move || host.create_guest(&spec));
        match tokio::time::timeout(QUICK, &mut call).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Err(super::other(format!("making the guest broke off: {error}"))),
            Err(_) => {
                let host = self.host.clone();
                tokio::task::spawn_local(async move {
                    if let Ok(Ok(guest)) = call.await {
                        tracing::warn!("guest {guest} appeared too late and is destroyed");
                        let destroyed =
                            tokio::task::spawn_blocking(move || host.destroy_guest(guest));
                        if let Ok(Err(error)) = destroyed.await {
                            tracing::error!("guest {guest} cannot be destroyed: {error}");
                        }
                    }
                });
                Err(super::other(format!(
                    "the guest was not made within {} s",
                    QUICK.as_secs()
                )))
            }
        }
    }

    /// Takes everything back and says why.
    async fn break_off(
        self: &Rc<Self>,
        uuid: &DomainUuid,
        laps: Laps,
        broken: Broken,
    ) -> Result<(), Failure> {
        let Broken {
            reason,
            out_of_memory,
        } = broken;
        let domain = self.domain(uuid)?;
        let name = domain.name.clone();
        let had_guest = self
            .model()
            .get(uuid)
            .is_some_and(|entry| entry.life.guest().is_some());
        let console = match had_guest {
            true => self
                .host(QUICK, move |host| Ok(host.console_tail(&name)))
                .await
                .unwrap_or_default(),
            false => String::new(),
        };
        tracing::warn!("domain {} did not start: {reason}", domain.name);
        let report = laps.report(Some(reason.clone()));
        self.state.borrow_mut().reports.insert(uuid.clone(), report);
        if self.tell(uuid, Event::StartFailed)? == Action::Bury {
            self.bury(uuid).await;
        }
        Err(Failure::StartFailed {
            name: domain.name,
            reason,
            console,
            out_of_memory,
        })
    }

    /// What the last start of a domain took.
    pub fn start_report(&self, uuid: &DomainUuid) -> Option<StartReport> {
        self.state.borrow().reports.get(uuid).cloned()
    }
}
