// SPDX-License-Identifier: GPL-3.0-or-later
//! What becomes of calls after their permission: reports of their end, and grants that end
//! before them.

use std::time::Duration;

use bulkhead_types::DomainName;
use policy_ledger::{Act, Close, Event, rfc3339};
use qrexec_protocol::under_way::{EndCall, Notice};
use tokio::sync::mpsc::UnboundedSender;
use tracing::{error, info, warn};

use crate::clock::Moment;
use crate::control::{Answer, Request};
use crate::grants::{Ended, GrantState};
use crate::report::Report;
use crate::state::{Shared, State};
use crate::wire::Question;

/// How often it is looked whether a grant has ended, and floods are counted.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl State {
    /// A call begins that rests on a grant; whether that could be kept.
    pub(crate) fn rest_on(&mut self, grant: Option<u64>, call: u64) -> bool {
        let Some(grant) = grant else { return true };
        self.grants.take_use(grant);
        self.grants.begin(grant, call);
        self.save_grants()
    }

    fn save_grants(&self) -> bool {
        match self.grants_file.save(&self.grants) {
            Ok(()) => true,
            Err(e) => {
                error!("the grants cannot be kept: {e}");
                false
            }
        }
    }

    pub(crate) fn reporter_came(
        &mut self,
        number: u64,
        source: &DomainName,
        orders: UnboundedSender<EndCall>,
    ) {
        info!("the qrexec daemon of {source} reports on calls");
        self.reporters.insert(number, orders);
    }

    pub(crate) fn notice(
        &mut self,
        reporter: u64,
        source: &DomainName,
        notice: Notice,
        now: Moment,
    ) {
        match notice {
            Notice::Source(_) => {}
            Notice::Open(call) => {
                self.calls.opened(call, reporter, source.as_str(), now.boot);
                // The grant may have ended while the target was starting.
                if self.orphaned.contains(&call) {
                    self.order_end(reporter, call, "the grant has ended");
                }
            }
            Notice::Done(call) => {
                if self.calls.closed(call, source.as_str()).is_some() {
                    self.call_is_over(call);
                }
            }
        }
    }

    /// Records how a call ended, as its qrexec daemon says.
    pub(crate) fn over(&mut self, report: Report, now: Moment) {
        let Report { source, close } = report;
        if !self.calls.reported(close.call, source.as_str()) {
            let call = close.call;
            warn!("`{source}` told the end of call {call}, which is none of its calls under way");
            return;
        }
        // What cannot be recorded has been told there.
        let _ = self.book.record(Event::Close(close), now.wall);
    }

    /// A qrexec daemon has gone; what is known of its calls goes with it.
    pub(crate) fn reporter_gone(&mut self, reporter: u64, now: Moment) {
        self.reporters.remove(&reporter);
        for (number, call) in self.calls.orphans(reporter) {
            self.call_is_over(number);
            if call.reported {
                continue;
            }
            let age = now.boot.saturating_sub(call.since).as_millis();
            let close = Close {
                call: number,
                duration_ms: u64::try_from(age).unwrap_or(u64::MAX),
                end: "the qrexec daemon of its source has gone".to_owned(),
                ..Close::default()
            };
            let _ = self.book.record(Event::Close(close), now.wall);
        }
    }

    fn call_is_over(&mut self, number: u64) {
        self.orphaned.remove(&number);
        if let Some(grant) = self.grants.of_call(number) {
            self.grants.end_call(grant, number);
            self.save_grants();
        }
    }

    fn order_end(&self, reporter: u64, call: u64, why: &str) {
        if let Some(orders) = self.reporters.get(&reporter) {
            let why = why.to_owned();
            let _ = orders.send(EndCall { call, why });
        }
    }

    /// Ends the calls that rest on grants that have ended; how many there are.
    fn end_grants(&mut self, ended: Vec<Ended>, by: &str, now: Moment) -> usize {
        if ended.is_empty() {
            return 0;
        }
        self.save_grants();
        let mut calls = 0;
        for Ended { grant, why } in ended {
            self.act(by, "grant-ended", format!("{}: {why}", told(&grant)), now);
            for call in grant.calls {
                calls += 1;
                self.orphaned.insert(call);
                if let Some(reporter) = self.calls.reporter(call) {
                    self.order_end(reporter, call, &format!("the grant has ended: {why}"));
                }
            }
        }
        calls
    }

    /// Looks what has ended by now.
    pub(crate) fn look(&mut self, now: Moment) {
        for (source, refused) in self.flood.take() {
            self.book.record(Event::Flood { source, refused }, now.wall);
        }
        for (number, _) in self.calls.forget_silent(now.boot) {
            if let Some(grant) = self.grants.of_call(number) {
                self.grants.end_call(grant, number);
            }
        }
        let ended = self.grants.expire(now.boot);
        self.end_grants(ended, "policyd", now);
    }

    pub(crate) fn act(&mut self, by: &str, what: &str, detail: String, now: Moment) -> bool {
        let act = Act {
            by: by.to_owned(),
            what: what.to_owned(),
            detail,
        };
        self.book.record(Event::Act(act), now.wall).is_some()
    }

    /// Does what an administrator asks.
    pub(crate) fn administer(&mut self, request: Request, by: &str, now: Moment) -> Answer {
        let refused = |message: String| Answer::Refused { message };
        match request {
            Request::Grant(request) => {
                let since = rfc3339(now.wall);
                match self.grants.add(request, by, since, now.boot) {
                    Err(error) => refused(error.to_string()),
                    Ok(grant) => {
                        // What is not kept, or not recorded, is not granted.
                        let kept = self.save_grants();
                        if kept && self.act(by, "grant", told(&grant), now) {
                            return Answer::Granted(grant);
                        }
                        self.grants.revoke(Some(grant.id));
                        self.save_grants();
                        refused("the grant cannot be recorded, so it is not given".to_owned())
                    }
                }
            }
            Request::Grants => Answer::Grants(self.grants.states(now.boot)),
            Request::KeptAnswers => Answer::KeptAnswers(self.kept.states(now.boot)),
            Request::Covering {
                source,
                target,
                service,
            } => {
                let question = Question {
                    source,
                    intended_target: target,
                    service_and_arg: service,
                    requested_source: String::new(),
                    assume_yes_for_ask: false,
                    just_evaluate: true,
                };
                let found = self.grants.covering(&question, now.boot);
                let states = self.grants.states(now.boot).into_iter();
                let own = |state: &GrantState| found.as_ref().is_some_and(|f| f.0 == state.id);
                Answer::Grants(states.filter(own).collect())
            }
            Request::Revoke { id } => {
                let ended = self.grants.revoke(id);
                if let (Some(id), true) = (id, ended.is_empty()) {
                    return refused(format!("there is no grant {id}"));
                }
                let answers = match id {
                    Some(_) => 0,
                    None => self.kept.forget(),
                };
                if answers > 0 {
                    self.act(by, "forget", format!("{answers} answers of the user"), now);
                }
                let grants = ended.iter().map(|ended| ended.grant.id).collect();
                let calls = self.end_grants(ended, by, now);
                Answer::Revoked {
                    grants,
                    calls,
                    answers,
                }
            }
            Request::Quotas => Answer::Quotas {
                quotas: self.quotas.quotas().cloned().collect(),
                usage: self
                    .quotas
                    .usage(now.boot, |quota, source| self.calls.counted(quota, source)),
            },
            // Dealt with where it can be waited for.
            Request::Reload | Request::Trace => Answer::Done,
        }
    }
}

/// Looks again and again.
pub(crate) async fn keep_looking(state: Shared) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        state.borrow_mut().look(Moment::now());
    }
}

/// A grant in one line, for the ledger.
fn told(grant: &GrantState) -> String {
    let GrantState { id, request, .. } = grant;
    let mut text = format!(
        "{id}: {} -> {} {}",
        request.source, request.target, request.service
    );
    if let Some(seconds) = request.seconds {
        text.push_str(&format!(", for {seconds} s"));
    }
    if let Some(uses) = request.uses {
        text.push_str(&format!(", uses left: {uses}"));
    }
    if request.while_running {
        text.push_str(", while its source runs");
    }
    text
}
