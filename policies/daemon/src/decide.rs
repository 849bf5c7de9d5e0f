// SPDX-License-Identifier: GPL-3.0-or-later
//! One decision, from the question's texts to the answer's bytes, without any I/O.

use std::sync::Arc;

use bulkhead_policy::{
    Call, Compiled, Destination, Domain, DomainRef, Grant, Reason, Relay, Requested, System,
    Target, Verdict,
};
use bulkhead_types::Service;
use policy_ledger::Decision as Record;

use crate::prompts::Chosen;
use crate::wire::{self, ANSWER_MAX, Question};

/// What becomes of a call, with what the ledger and the log say of it.
#[must_use]
#[derive(Clone, Debug)]
pub struct Decision {
    outcome: Result<Grant, Refusal>,
    /// The remote domain that the caller spoke for.
    spoken_for: Option<DomainRef>,
    /// What the user may still be asked; who does not ask refuses.
    asked: Option<Box<Asked>>,
    /// What the user answered.
    prompt: Option<String>,
    /// Whether the user is told.
    notify: bool,
    /// The grant that the permission rests on.
    grant: Option<u64>,
}

/// A call on which the user decides.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) question: bulkhead_policy::Question,
    pub(crate) source: Arc<Domain>,
    pub(crate) service: Service,
}

#[derive(Clone, Debug)]
struct Refusal {
    reason: String,
    rule: Option<String>,
    quota: bool,
}

impl Decision {
    /// A refusal that is not the policy's.
    pub fn refused(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self {
            outcome: Err(Refusal {
                reason,
                rule: None,
                quota: false,
            }),
            spoken_for: None,
            asked: None,
            prompt: None,
            notify: true,
            grant: None,
        }
    }

    /// A refusal because of a quota: the same call may be allowed later. Nobody is told of each
    /// call of a flood.
    pub(crate) fn over_quota(reason: String) -> Self {
        let mut refused = Self::refused(reason);
        refused.notify = false;
        if let Err(refusal) = &mut refused.outcome {
            refusal.quota = true;
        }
        refused
    }

    /// The same decision, which rests on a grant.
    pub(crate) fn by_grant(self, grant: u64) -> Self {
        Self {
            grant: Some(grant),
            ..self
        }
    }

    /// The grant that it rests on.
    pub(crate) fn grant(&self) -> Option<u64> {
        self.grant
    }

    /// Whether it is a quota that refuses.
    pub(crate) fn is_of_quota(&self) -> bool {
        matches!(&self.outcome, Err(refusal) if refusal.quota)
    }

    /// Whether the call goes to a new disposable.
    pub(crate) fn starts_disposable(&self) -> bool {
        let destination = self.outcome.as_ref().ok().map(Grant::destination);
        matches!(destination, Some(Destination::Disposable(_)))
    }

    /// The refusal of a question that the user has not agreed to.
    pub(crate) fn unanswered(asked: &Asked, reason: impl Into<String>) -> Self {
        Self::from(asked.question.clone().unanswerable()).because(reason)
    }

    /// A refusal by the same rule for another reason.
    fn because(mut self, reason: impl Into<String>) -> Self {
        if let Err(refusal) = &mut self.outcome {
            refusal.reason = reason.into();
        }
        self
    }

    /// What the user may be asked before the call is refused.
    pub(crate) fn asked(&self) -> Option<&Asked> {
        self.asked.as_deref()
    }

    /// The same decision, with what the user answered for the ledger.
    pub(crate) fn with_prompt(mut self, prompt: impl Into<String>) -> Self {
        self.prompt = Some(prompt.into());
        self
    }

    /// Where an allowed call goes.
    pub(crate) fn target(&self) -> Option<String> {
        let grant = self.outcome.as_ref().ok()?;
        Some(grant.destination().to_string())
    }

    /// Whether the user is told of it.
    pub(crate) fn notify(&self) -> bool {
        self.notify
    }

    /// Whether the call may run.
    pub fn is_allowed(&self) -> bool {
        self.outcome.is_ok()
    }

    /// The bytes to answer with. `number` is the record's, with which the end of the call is to
    /// be told.
    pub fn answer(&self, question: &Question, number: Option<u64>) -> Vec<u8> {
        match &self.outcome {
            Ok(grant) => wire::allow(grant, question, self.spoken_for.as_ref(), number),
            Err(refusal) => wire::deny(&refusal.reason, refusal.rule.as_deref(), refusal.quota),
        }
    }

    /// What the ledger keeps of it.
    pub fn record(&self, question: &Question) -> Record {
        let (rule, reason, target) = match &self.outcome {
            Ok(grant) => {
                let rule = grant.rule().location.to_string();
                (Some(rule), None, Some(grant.destination().to_string()))
            }
            Err(refusal) => (refusal.rule.clone(), Some(refusal.reason.clone()), None),
        };
        Record {
            source: question.source.clone(),
            requested_target: question.intended_target.clone(),
            service: question.service_and_arg.clone(),
            verdict: if self.is_allowed() { "allow" } else { "deny" }.to_owned(),
            rule,
            reason,
            target,
            prompt: self.prompt.clone(),
            grant: self.grant,
            just_evaluated: question.just_evaluate,
            ..Record::default()
        }
    }
}

impl From<Reason> for Decision {
    fn from(reason: Reason) -> Self {
        Self {
            notify: reason.notify(),
            outcome: Err(Refusal {
                reason: reason.denial().to_string(),
                rule: reason.rule().map(|rule| rule.location.to_string()),
                quota: false,
            }),
            spoken_for: None,
            asked: None,
            prompt: None,
            grant: None,
        }
    }
}

/// Decides a question. There is no compiled policy while the domain manager's word is missing.
///
/// Where a rule says `ask` the decision is a refusal, and says what the user can be asked to
/// change it. An asker who assumes the answer agrees to the target as asked for, if that is
/// among those the user could choose.
pub fn decide(compiled: Option<&Compiled>, question: &Question) -> Decision {
    let (compiled, call) = match read(question, compiled) {
        Ok(read) => read,
        Err(reason) => return Decision::refused(reason),
    };
    let system = &**compiled.system();
    match compiled.evaluate(&call) {
        Verdict::Allow(grant) => allowed(grant, &call, question),
        Verdict::Deny(reason) => reason.into(),
        Verdict::Ask(asked) if question.assume_yes_for_ask => {
            let Some(choice) = as_choice(asked.requested(), &call.source, system) else {
                return asked.unanswerable().into();
            };
            match asked.agreed(&choice, system) {
                Ok(grant) => allowed(grant, &call, question),
                Err(reason) => reason.into(),
            }
        }
        Verdict::Ask(asked) => {
            let refused = Decision::from(asked.clone().unanswerable());
            let source = system.find(&call.source).cloned();
            let asked = source.filter(|_| !question.just_evaluate).map(|source| {
                Box::new(Asked {
                    question: asked,
                    source,
                    service: call.service,
                })
            });
            Decision { asked, ..refused }
        }
    }
}

/// Decides a question to which the user has agreed. The policy and the domains are as they
/// are now: the rule has to ask still, and the user's choice has to be the same domain.
pub(crate) fn decide_agreed(
    compiled: Option<&Compiled>,
    question: &Question,
    chosen: &Chosen,
) -> Decision {
    let (compiled, call) = match read(question, compiled) {
        Ok(read) => read,
        Err(reason) => return Decision::refused(reason),
    };
    let asked = match compiled.evaluate(&call) {
        Verdict::Ask(asked) => asked,
        Verdict::Deny(reason) => return reason.into(),
        Verdict::Allow(_) => {
            return Decision::refused("the policy has changed while the user was asked");
        }
    };
    let choice = asked.choices().iter().find(|choice| chosen.is(choice));
    let Some(choice) = choice.cloned() else {
        let reason = format!(
            "`{}` is not among the targets to choose from",
            chosen.choice
        );
        return Decision::from(asked.unanswerable()).because(reason);
    };
    match asked.agreed(&choice, compiled.system()) {
        Ok(grant) => allowed(grant, &call, question),
        Err(reason) => reason.into(),
    }
}

fn allowed(grant: Grant, call: &Call, question: &Question) -> Decision {
    let spoken_for = Some(call.source.clone()).filter(|_| !question.requested_source.is_empty());
    let answer = wire::allow(&grant, question, spoken_for.as_ref(), None);
    match answer.len() {
        // Only what is said to a relay can be that long.
        ANSWER_MAX.. => Decision::refused("the call is too long for a remote domain"),
        _ => Decision {
            notify: grant.notify(),
            outcome: Ok(grant),
            spoken_for,
            asked: None,
            prompt: None,
            grant: None,
        },
    }
}

fn read<'a>(
    question: &Question,
    compiled: Option<&'a Compiled>,
) -> Result<(&'a Compiled, Call), String> {
    let compiled = compiled.ok_or("the domain manager is not running")?;
    let system = &**compiled.system();
    let mut source = DomainRef::parse(&question.source).map_err(|e| e.to_string())?;
    if !question.requested_source.is_empty() {
        let remote = DomainRef::parse(&question.requested_source).map_err(|e| e.to_string())?;
        let may = Relay::may_speak_for(&source, &remote, system);
        may.map_err(|denial| denial.to_string())?;
        source = remote;
    }
    let call = Call {
        source,
        service: Service::parse(&question.service_and_arg).map_err(|e| e.to_string())?,
        target: Requested::parse(&question.intended_target).map_err(|e| e.to_string())?,
    };
    Ok((compiled, call))
}

/// The requested target as one of the choices of `ask`.
fn as_choice(target: &Target, source: &DomainRef, system: &System) -> Option<Destination> {
    match target {
        Target::Default => None,
        Target::AdminVm => Some(Destination::Dom0),
        Target::Domain { domain, .. } => Some(Destination::Domain(domain.clone())),
        Target::DispVmOf { template, .. } => Some(Destination::Disposable(template.clone())),
        Target::DispVm => {
            let template = system.find(source)?.default_dispvm.as_ref()?;
            system.get(template).cloned().map(Destination::Disposable)
        }
    }
}
