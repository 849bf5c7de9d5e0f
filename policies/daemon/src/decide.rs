// SPDX-License-Identifier: GPL-3.0-or-later
//! One decision, from the question's texts to the answer's bytes, without any I/O.

use bulkhead_policy::{
    Call, Compiled, Destination, DomainRef, Grant, Reason, Requested, System, Target, Verdict,
};
use bulkhead_types::Service;
use policy_ledger::Decision as Record;

use crate::wire::{self, ANSWER_MAX, Question};

/// What becomes of a call, with what the ledger and the log say of it.
#[must_use]
#[derive(Clone, Debug)]
pub struct Decision {
    outcome: Result<Grant, Refusal>,
    /// The remote domain that the caller spoke for.
    spoken_for: Option<DomainRef>,
}

#[derive(Clone, Debug)]
struct Refusal {
    reason: String,
    rule: Option<String>,
}

impl Decision {
    /// A refusal that is not the policy's.
    pub fn refused(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self {
            outcome: Err(Refusal { reason, rule: None }),
            spoken_for: None,
        }
    }

    /// Whether the call may run.
    pub fn is_allowed(&self) -> bool {
        self.outcome.is_ok()
    }

    /// The bytes to answer with. `number` is the record's, with which the end of the call is to be told.
    pub fn answer(&self, number: Option<u64>) -> Vec<u8> {
        match &self.outcome {
            Ok(grant) => wire::allow(grant, self.spoken_for.as_ref(), number),
            Err(refusal) => wire::deny(&refusal.reason, refusal.rule.as_deref()),
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
            just_evaluated: question.just_evaluate,
            ..Record::default()
        }
    }
}

impl From<Reason> for Decision {
    fn from(reason: Reason) -> Self {
        Self {
            outcome: Err(Refusal {
                reason: reason.denial().to_string(),
                rule: reason.rule().map(|rule| rule.location.to_string()),
            }),
            spoken_for: None,
        }
    }
}

/// Decides a question. There is no compiled policy while the domain manager's word is missing.
///
/// There is no prompt yet to put a question to the user with, so `ask` is refused unless the
/// asker assumes the answer; then the target has to be among those the user could choose.
pub fn decide(compiled: Option<&Compiled>, question: &Question) -> Decision {
    let Some(compiled) = compiled else {
        return Decision::refused("the domain manager is not running");
    };
    let system = &**compiled.system();
    let call = match read(question, system) {
        Ok(call) => call,
        Err(reason) => return Decision::refused(reason),
    };
    let spoken_for = Some(call.source.clone()).filter(|_| !question.requested_source.is_empty());
    let allowed = |grant: Grant| {
        let answer = wire::allow(&grant, spoken_for.as_ref(), None);
        match answer.len() {
            // Only what is said to a relay can be that long.
            ANSWER_MAX.. => Decision::refused("the call is too long for a remote domain"),
            _ => Decision {
                outcome: Ok(grant),
                spoken_for: spoken_for.clone(),
            },
        }
    };
    match compiled.evaluate(&call) {
        Verdict::Allow(grant) => allowed(grant),
        Verdict::Deny(reason) => reason.into(),
        Verdict::Ask(asked) if question.assume_yes_for_ask => {
            let Some(choice) = as_choice(asked.requested(), &call.source, system) else {
                return asked.unanswerable().into();
            };
            match asked.agreed(&choice, system) {
                Ok(grant) => allowed(grant),
                Err(reason) => reason.into(),
            }
        }
        Verdict::Ask(asked) => asked.unanswerable().into(),
    }
}

fn read(question: &Question, system: &System) -> Result<Call, String> {
    let mut source = DomainRef::parse(&question.source).map_err(|e| e.to_string())?;
    if !question.requested_source.is_empty() {
        let remote = DomainRef::parse(&question.requested_source).map_err(|e| e.to_string())?;
        let may = system.may_speak_for(&source, &remote);
        may.map_err(|denial| denial.to_string())?;
        source = remote;
    }
    Ok(Call {
        source,
        service: Service::parse(&question.service_and_arg).map_err(|e| e.to_string())?,
        target: Requested::parse(&question.intended_target).map_err(|e| e.to_string())?,
    })
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
