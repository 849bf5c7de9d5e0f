// SPDX-License-Identifier: GPL-3.0-or-later
//! The services `policy.EvalSimple` and `policy.EvalGUI`: a domain asks what policy would say to a
//! call of others (specification of qrexec, 2.8).
//!
//! Each is a socket, linked among the services of dom0, so qrexec calls it as any other; who may,
//! and about which service, the policy itself says. That call is recorded and counted as a call of
//! the domain that asks. What it asks about is only looked at: nothing of it is recorded, and it
//! takes from no quota of the domain that it is about.
//!
//! `policy.EvalGUI` answers about those domains only that the caller shows on its screen.

mod request;

use std::time::Duration;

use bulkhead_types::{DomainName, Layout};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::spawn_local;
use tokio::time::timeout;
use tracing::warn;

use crate::clock::Moment;
use crate::serve::ServeError;
use crate::socket::{Socket, accept};
use crate::state::{Shared, State};

pub use request::{Asked, BadRequest, REQUEST_MAX};

/// How long one caller may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many callers are served at once; further ones wait to be accepted.
const CALLERS_MAX: usize = 64;

/// Which of the two services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// About any domains.
    Simple,
    /// About domains on the caller's screen.
    Gui,
}

impl Service {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Simple, Self::Gui];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simple => "policy.EvalSimple",
            Self::Gui => "policy.EvalGUI",
        }
    }

    /// Makes its socket, for dom0's own.
    pub(crate) fn bind(self, layout: &Layout) -> Result<Socket, ServeError> {
        Socket::bind(layout.policy_evaluation_socket(self.name()), 0o660)
    }
}

/// Answers callers for ever.
pub(crate) async fn answer_callers(service: Service, listener: UnixListener, state: Shared) {
    let places = std::sync::Arc::new(Semaphore::new(CALLERS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let stream = accept(&listener).await;
        let state = state.clone();
        spawn_local(async move {
            match timeout(PATIENCE, answer(service, stream, &state)).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => warn!("{} gives no answer: {why}", service.name()),
                Err(_) => warn!("{} gives no answer: its caller is too slow", service.name()),
            }
            drop(place);
        });
    }
}

async fn answer(service: Service, mut stream: UnixStream, state: &Shared) -> Result<(), String> {
    let mut bytes = Vec::with_capacity(512);
    while bytes.len() <= REQUEST_MAX {
        let read = stream.read_buf(&mut bytes).await;
        if read.map_err(|error| error.to_string())? == 0 {
            break;
        }
    }
    let asked = Asked::decode(service, &bytes).map_err(|error| error.to_string())?;
    let allowed = state.borrow_mut().would_allow(service, &asked)?;
    let answer = match allowed {
        true => "result=allow\n",
        false => "result=deny\n",
    };
    let told = stream.write_all(answer.as_bytes()).await;
    told.map_err(|error| error.to_string())
}

impl State {
    fn would_allow(&mut self, service: Service, asked: &Asked) -> Result<bool, String> {
        let question = asked.question();
        if service == Service::Gui {
            for name in [&question.source, &question.intended_target] {
                if !self.is_shown_by(name, &asked.caller) {
                    let caller = &asked.caller;
                    return Err(format!("`{name}` is not on the screen of {caller}"));
                }
            }
        }
        Ok(self.decide(&question, Moment::now()).is_allowed())
    }

    /// Whether a domain carries the tag of those that `caller` shows.
    fn is_shown_by(&self, name: &str, caller: &DomainName) -> bool {
        let name = DomainName::parse(name).ok();
        let system = self.system();
        let domain = name.and_then(|name| system?.get(&name).cloned());
        domain.is_some_and(|domain| domain.has_tag(&format!("guivm-{caller}")))
    }
}
