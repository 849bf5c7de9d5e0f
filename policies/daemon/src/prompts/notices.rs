// SPDX-License-Identifier: GPL-3.0-or-later
//! Telling the user what became of calls, where the rule says `notify=yes` or denies.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bulkhead_policy::DomainRef;
use bulkhead_types::{DomainName, Service};
use policy_agent_protocol::{Notify, Request, Resolution};
use tokio::task::spawn_local;

use super::agent;
use crate::clock::since_boot;
use crate::decide::Decision;
use crate::state::Shared;
use crate::wire::Question;

/// How long the same is not told again.
const PAUSE: Duration = Duration::from_secs(10);
/// How many notices of one domain there are in that time, whatever they say.
const OF_ONE: usize = 4;
/// How many agents are talked to at once.
const AT_ONCE: usize = 8;

/// What was told a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    told: HashMap<DomainName, Vec<(String, Duration)>>,
    under_way: usize,
}

impl Notices {
    /// Whether something is new enough to be told `now`.
    fn is_news(&mut self, source: &DomainName, what: &str, now: Duration) -> bool {
        let recent = |at: &Duration| now.saturating_sub(*at) < PAUSE;
        for told in self.told.values_mut() {
            told.retain(|(_, at)| recent(at));
        }
        self.told.retain(|_, told| !told.is_empty());
        let told = self.told.entry(source.clone()).or_default();
        let known = told.iter().any(|(text, _)| text == what);
        if known || told.len() >= OF_ONE || self.under_way >= AT_ONCE {
            return false;
        }
        told.push((what.to_owned(), now));
        true
    }
}

/// Tells the user of a decision, without waiting for it, if it is to be told and is news.
pub(crate) fn tell(question: &Question, decision: &Decision, state: &Shared, socket: &Path) {
    if !decision.notify() || question.just_evaluate {
        return;
    }
    let (Some(notice), Some(source)) = (notice(question, decision), source(question)) else {
        // A call of somebody or something that cannot be is the log's matter.
        return;
    };
    let what = format!(
        "{:?} {} {}",
        notice.resolution, notice.service, notice.target
    );
    if !state
        .borrow_mut()
        .notices
        .is_news(&source, &what, since_boot())
    {
        return;
    }
    let request = Request::Notify(notice).encode();
    let (state, socket) = (state.clone(), socket.to_owned());
    state.borrow_mut().notices.under_way += 1;
    spawn_local(async move {
        agent::notify(&socket, &request).await;
        state.borrow_mut().notices.under_way -= 1;
    });
}

fn source(question: &Question) -> Option<DomainName> {
    match DomainRef::parse(&question.source).ok()? {
        DomainRef::Name(name) => Some(name),
        DomainRef::Uuid(_) => None,
    }
}

fn notice(question: &Question, decision: &Decision) -> Option<Notify> {
    let service = Service::parse(&question.service_and_arg).ok()?;
    let resolution = match decision.is_allowed() {
        true => Resolution::Allow,
        false => Resolution::Deny,
    };
    let asked_for = &question.intended_target;
    let sound = |c: char| c.is_ascii_alphanumeric() || "_.-@:".contains(c);
    let target = match decision.target() {
        Some(target) => target,
        None if asked_for.is_empty() => "@default".to_owned(),
        None if asked_for.len() <= 63 && asked_for.chars().all(sound) => asked_for.clone(),
        None => return None,
    };
    Some(Notify {
        resolution,
        service: service.name().to_string(),
        argument: service.policy_argument(),
        source: source(question)?,
        target,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_told_a_few_times() {
        let mut notices = Notices::default();
        let (loud, quiet) = ("loud".parse().unwrap(), "quiet".parse().unwrap());
        let now = Duration::from_secs(100);
        assert!(notices.is_news(&loud, "a", now));
        assert!(!notices.is_news(&loud, "a", now));
        let told = (0..100).filter(|n| notices.is_news(&loud, &n.to_string(), now));
        assert_eq!(told.count(), OF_ONE - 1);
        assert!(notices.is_news(&quiet, "a", now));
        assert!(notices.is_news(&loud, "a", now + PAUSE));
    }
}
