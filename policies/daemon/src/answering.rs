// SPDX-License-Identifier: GPL-3.0-or-later
//! Around the policy's word: grants that come before it, quotas that come after it, and the call
//! that begins with an answer.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_types::escaped;
use policy_ledger::Event;
use tracing::error;

use crate::calls::Call;
use crate::clock::Moment;
use crate::decide::{Decision, decide};
use crate::state::State;
use crate::wire::Question;

impl State {
    /// Decides a question. Nothing may come of it before [`Self::conclude`] has recorded it.
    pub(crate) fn decide(&mut self, question: &Question, now: Moment) -> Decision {
        // Dom0 asks on behalf of people who look at things; that is not counted.
        if !question.just_evaluate
            && let Err(reached) = self.quotas.questions.ask(&question.source, now.boot)
        {
            return Decision::over_quota(reached.0);
        }
        let decision = match self.status.rules {
            Some(_) => decide(self.compiled.as_ref(), question),
            None => Decision::refused("there is no policy without errors"),
        };
        if decision.is_allowed() {
            return decision;
        }
        let granted = self.grants.covering(question, now.boot);
        granted.map_or(decision, |(_, permission)| permission)
    }

    /// How long the refusal of a domain that asks too much is held back.
    pub(crate) fn hold(&mut self, source: &str, now: Moment) -> Duration {
        self.quotas.questions.hold(source, now.boot)
    }

    /// Records a decision and gives the answer's bytes: in this order.
    pub(crate) fn conclude(
        &mut self,
        decision: Decision,
        question: &Question,
        now: Moment,
    ) -> (Decision, Vec<u8>) {
        let (mut decision, quota) = self.within_quota(decision, question, now);
        let private = self
            .book
            .keeps_private(self.is_disposable(&question.source));
        let mut record = decision.record(question);
        record.generation = self.generation;
        if !private {
            tell(&record);
        }
        let event = match private {
            true => Event::Private,
            false => Event::Decision(record),
        };
        let counted_only = decision.is_of_quota() && !self.flood.count(&question.source);
        let number = match counted_only {
            true => None,
            false => self.book.record(event, now.wall),
        };
        if number.is_none() && !counted_only {
            error!("the call is refused");
            decision = Decision::refused("the decision cannot be recorded");
        }
        let call = number.filter(|_| decision.is_allowed() && !question.just_evaluate);
        if let Some(number) = call
            && !self.begin(number, &decision, question, quota, now)
        {
            decision = Decision::refused("the use of a grant cannot be kept");
        }
        match decision.is_allowed() {
            true => self.allowed += 1,
            false => self.denied += 1,
        }
        let answer = decision.answer(question, call.filter(|_| !private));
        (decision, answer)
    }

    /// Holds an allowed call against the quotas; the one that counts it.
    fn within_quota(
        &mut self,
        decision: Decision,
        question: &Question,
        now: Moment,
    ) -> (Decision, Option<Arc<str>>) {
        if question.just_evaluate || !decision.is_allowed() {
            return (decision, None);
        }
        let source = self.domain(&question.source).cloned();
        let Some(source) = source.filter(|source| !source.name.is_dom0()) else {
            return (decision, None);
        };
        let service = question.service_and_arg.split('+').next();
        let calls = &self.calls;
        let admitted = self.quotas.admit(
            &source,
            service.unwrap_or_default(),
            decision.starts_disposable(),
            now.boot,
            |quota| calls.counted(quota, &question.source),
        );
        match admitted {
            Ok(quota) => (decision, quota),
            Err(reached) => (Decision::over_quota(reached.0), None),
        }
    }

    /// A call begins; whether the grant that it rests on could be kept.
    fn begin(
        &mut self,
        number: u64,
        decision: &Decision,
        question: &Question,
        quota: Option<Arc<str>>,
        now: Moment,
    ) -> bool {
        let call = Call {
            source: question.source.clone(),
            quota,
            since: now.boot,
            reporter: None,
            reported: false,
        };
        self.calls.begin(number, call);
        let kept = self.rest_on(decision.grant(), number);
        if !kept {
            self.calls.closed(number, &question.source);
        }
        kept
    }
}

/// One line in the log. A source, target or service that was refused for its spelling can hold
/// anything.
fn tell(record: &policy_ledger::Decision) {
    let why = match (&record.target, &record.reason) {
        (Some(target), _) => format!("to {target}"),
        (None, reason) => reason.clone().unwrap_or_default(),
    };
    let rule = record.rule.as_ref();
    tracing::info!(
        "{} {} -> {} {}: {why}{}",
        record.verdict,
        shown(&record.source),
        shown(&record.requested_target),
        shown(&record.service),
        rule.map_or(String::new(), |rule| format!(" ({rule})")),
    );
}

/// Text of a guest for the log: escaped and cut.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    match short.is_empty() {
        true => "@default".to_owned(),
        false => escaped(&short),
    }
}
