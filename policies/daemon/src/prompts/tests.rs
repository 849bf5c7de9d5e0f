// SPDX-License-Identifier: GPL-3.0-or-later
//! What takes time: on a clock that runs when everybody waits.

use std::cell::RefCell;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use bulkhead_policy::{Compiled, Policy};
use policy_ledger::{Ledger, SealKey};

use super::*;
use crate::announcer::Announcer;
use crate::book::Book;
use crate::clock::Moment;
use crate::grants::GrantsFile;
use crate::live::Live;
use crate::prepare::ReadPolicy;
use crate::settings::Settings;
use crate::state::State;

const SYSTEM: &str = r#"{"domains": {
    "work": {"type": "AppVM", "power_state": "Running", "domid": 5, "guivm": "dom0"},
    "vault": {"type": "AppVM", "power_state": "Halted"}
}}"#;

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_answers_is_refused_in_the_end() {
    let root = tempfile::tempdir().unwrap();
    let key = SealKey::load_or_make(&root.path().join("key")).unwrap();
    let limits = Settings::default().ledger.limits();
    let ledger = Ledger::open(&root.path().join("ledger"), key, limits, "boot").unwrap();
    let grants = GrantsFile::new(root.path().join("grants.json"), "boot".to_owned());
    let state: Shared = Rc::new(RefCell::new(State::new(
        Book::new(ledger),
        grants,
        Announcer::start().unwrap(),
    )));
    let live = Live {
        policy: Policy::from_texts([("30-user.policy", "t * work @anyvm ask\n")]).unwrap(),
        generation: None,
        activation: None,
    };
    let read = ReadPolicy::new(live, &Policy::empty(), SystemTime::now());
    let system = serde_json::from_str(SYSTEM).unwrap();
    let compiled = Compiled::new(read.policy.clone(), Arc::new(system));
    let runs = Runs::read(SYSTEM.as_bytes()).unwrap();
    let _ = state.borrow_mut().take_policy(read, None);
    let _ = state.borrow_mut().take_system(compiled, runs);
    let socket = root.path().join("agent.sock");
    // It takes the question and says nothing.
    let _agent = UnixListener::bind(&socket).unwrap();
    let (_caller, stream) = UnixStream::pair().unwrap();
    let question = b"source=work\nintended_target=vault\nservice_and_arg=t\n\n";
    let question = Question::decode(question).unwrap();
    let first = state.borrow_mut().decide(&question, Moment::now());
    let asked = first.asked().unwrap();
    let began = tokio::time::Instant::now();
    let decision = ask(asked, &question, &state, &socket, &stream).await;
    assert_eq!(began.elapsed().as_secs(), PATIENCE.as_secs());
    let record = decision.record(&question);
    assert_eq!(
        record.reason.as_deref(),
        Some("the user did not answer in time")
    );
    assert_eq!(record.verdict, "deny");
    assert_eq!(state.borrow().waiting.len(), 0);
}
