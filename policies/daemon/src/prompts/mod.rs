// SPDX-License-Identifier: GPL-3.0-or-later
//! Questions that a rule puts to the user, and what is remembered of the answers.
//!
//! [`ask`] takes a question to the agent, the program of the user's session that shows it.
//! While the user thinks, everything else goes on being answered. What ends the wait:
//! an answer, [`PATIENCE`], the asker hanging up, the end of the source, or an answer to the
//! same question that is to be kept. Whatever is not an agreement refuses.
//!
//! The user agrees to what was shown. So the call is decided anew with the answer, and runs
//! only if the rule asks still and the choice is the very domain that was offered.

mod agent;
mod choice;
mod kept;
mod notices;
mod runs;
#[cfg(test)]
mod tests;
mod waiting;

use std::path::Path;
use std::time::Duration;

use policy_agent_protocol::{Answer, Lasting, Request, Unanswered};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::warn;

use crate::clock::since_boot;
use crate::decide::{Asked, Decision};
use crate::state::Shared;
use crate::wire::Question;

pub(crate) use agent::is_there;
pub(crate) use choice::{Chosen, request};
pub use kept::KeptState;
pub(crate) use kept::{KeptAnswer, KeptAnswers, Key, key};
pub(crate) use notices::{Notices, tell};
pub(crate) use runs::Runs;
pub(crate) use waiting::Waiting;

/// How long a question waits for the user. The agent gives up a little earlier.
const PATIENCE: Duration = Duration::from_secs(125);
/// How often is looked whether there is anybody left to answer.
const LOOK: Duration = Duration::from_millis(200);

/// Has the user decide, or an answer that the user gave before.
///
/// `stream` is the asker's; the question ends with it.
pub(crate) async fn ask(
    asked: &Asked,
    question: &Question,
    state: &Shared,
    socket: &Path,
    stream: &UnixStream,
) -> Decision {
    let key = state.borrow().key(asked);
    if let Some(decision) = remembered(asked, question, state, &key) {
        return decision;
    }
    match asked.question.screen() {
        Some(screen) if screen.is_dom0() => {}
        Some(screen) => {
            let reason = format!("the rule asks the user at `{screen}`, which only dom0's can be");
            return Decision::unanswered(asked, reason);
        }
        None => return Decision::from(asked.question.clone().unanswerable()),
    }
    let _place = match waiting::enter(state, &asked.source.name) {
        Ok(place) => place,
        Err(full) => return Decision::unanswered(asked, full.to_string()),
    };
    let offered: &[Lasting] = match key.run {
        Some(_) => &Lasting::ALL,
        // When it stops is not known.
        None => &[],
    };
    let request = state.borrow().request(asked, offered);
    let request = Request::Ask(Box::new(request)).encode();
    let mut answer = std::pin::pin!(agent::ask(socket, &request, offered));
    let mut end = std::pin::pin!(sleep(PATIENCE));
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let refused = |reason: &str| Decision::unanswered(asked, reason);
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return match answer {
                Ok(answer) => state.borrow_mut().answered(asked, question, &key, answer),
                Err(error) => {
                    if error.is_fault() {
                        warn!("{error}");
                    }
                    refused(&error.to_string())
                }
            },
            () = &mut end => return unanswered(asked, Unanswered::TimeOut),
            _ = look.tick() => {
                if has_hung_up(stream).await {
                    return refused("the caller did not wait for the user's answer");
                }
                if state.borrow().key(asked) != key {
                    return refused("the caller stopped while the user was asked");
                }
                if let Some(decision) = remembered(asked, question, state, &key) {
                    return decision;
                }
            }
        }
    }
}

/// The refusal of what the user has neither allowed nor refused.
fn unanswered(asked: &Asked, why: Unanswered) -> Decision {
    let (reason, prompt) = match why {
        Unanswered::TimeOut => ("the user did not answer in time", "no answer"),
        Unanswered::NotShown => ("too many questions wait for the user", "not asked"),
    };
    Decision::unanswered(asked, reason).with_prompt(prompt)
}

/// Whether the asker has closed its end altogether. Many close the half that they are done
/// with and wait.
async fn has_hung_up(stream: &UnixStream) -> bool {
    match stream.ready(Interest::WRITABLE).await {
        Ok(ready) => ready.is_write_closed(),
        Err(_) => true,
    }
}

/// Decides by an answer that was to be kept, if there is one.
fn remembered(asked: &Asked, question: &Question, state: &Shared, key: &Key) -> Option<Decision> {
    let mut state = state.borrow_mut();
    let answer = state.kept.find(key, since_boot())?.clone();
    Some(match answer {
        KeptAnswer::Allow(chosen) => {
            let decision = state.decide_agreed(question, &chosen);
            decision.with_prompt(format!("allowed before, to {}", chosen.choice))
        }
        KeptAnswer::Deny => {
            Decision::from(asked.question.clone().refused()).with_prompt("refused before")
        }
    })
}

impl crate::state::State {
    /// Takes the user's answer to a question.
    fn answered(
        &mut self,
        asked: &Asked,
        question: &Question,
        key: &Key,
        answer: Answer,
    ) -> Decision {
        if self.key(asked) != *key {
            return Decision::unanswered(asked, "the caller stopped while the user was asked");
        }
        let lasting = answer.lasting();
        let said = |what: String| match lasting {
            Lasting::Once => what,
            Lasting::TenMinutes => format!("{what}, for ten minutes"),
            Lasting::WhileRunning => format!("{what}, until {} stops", key.source),
        };
        match answer {
            Answer::Unanswered(why) => unanswered(asked, why),
            Answer::Deny(_) => {
                self.keep(key, KeptAnswer::Deny, lasting);
                let refused = Decision::from(asked.question.clone().refused());
                refused.with_prompt(said("refused".to_owned()))
            }
            Answer::Allow(choice, _) => {
                let said = said(format!("allowed, to {choice}"));
                let Some(chosen) = Chosen::among(asked.question.choices(), &choice) else {
                    let reason = format!("`{choice}` is not among the targets to choose from");
                    warn!("the agent answered with a target that was not offered");
                    return Decision::unanswered(asked, reason).with_prompt(said);
                };
                let decision = self.decide_agreed(question, &chosen);
                if decision.is_allowed() {
                    self.keep(key, KeptAnswer::Allow(chosen), lasting);
                }
                decision.with_prompt(said)
            }
        }
    }

    fn keep(&mut self, key: &Key, answer: KeptAnswer, lasting: Lasting) {
        // Nobody may ask again whether an answer counts that nobody could end.
        if lasting == Lasting::Once || key.run.is_none() {
            return;
        }
        if !self.kept.keep(key.clone(), answer, lasting, since_boot()) {
            warn!("too many answers are kept; this one counts once");
        }
    }
}
