// SPDX-License-Identifier: GPL-3.0-or-later
//! The program around [`Prompt`]: its socket, its window, its clock.

mod agent;
pub mod descriptions;
mod desktop;
mod notice;
mod policy;
mod question;
mod spoken;
mod style;
mod window;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context;
use bulkhead_prompt::services::Services;
use bulkhead_prompt::{Effect, Input, PolicyWatch, Prompt, Question, QuestionId};
use gtk4::glib;
use gtk4::prelude::*;
use policy_agent_protocol::{Answer, Ask, Notify};
use tracing::warn;

use notice::NoticeBoard;
use window::AskWindow;

/// How often the countdown is brought up to date.
const TICK: Duration = Duration::from_millis(100);

/// Everything that runs in the session.
pub struct Session {
    started: Instant,
    services: Services,
    patience: Duration,
    prompt: RefCell<Prompt>,
    askers: RefCell<HashMap<QuestionId, Asker>>,
    next: Cell<u64>,
    window: RefCell<Option<Rc<AskWindow>>>,
    notices: NoticeBoard,
    policy: RefCell<PolicyWatch>,
}

/// Who waits for an answer.
struct Asker {
    stream: UnixStream,
    /// Tells when it does not wait any more.
    watch: glib::SourceId,
}

/// Runs for as long as the session does. The policy daemon asks on `socket`, and is there for as
/// long as a connection to `policy` lasts.
pub fn run(
    socket: &Path,
    policy: PathBuf,
    services: Services,
    patience: Duration,
) -> anyhow::Result<()> {
    gtk4::init().context("there is no display to show anything on")?;
    style::install();
    let session = Rc::new(Session {
        started: Instant::now(),
        services,
        patience,
        prompt: RefCell::default(),
        askers: RefCell::default(),
        next: Cell::new(1),
        window: RefCell::default(),
        notices: NoticeBoard::default(),
        policy: RefCell::default(),
    });
    agent::listen(socket, session.clone())?;
    policy::watch(policy, session);
    glib::MainLoop::new(None, false).run();
    Ok(())
}

impl Session {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Takes a question; the answer goes into `stream`.
    fn asked(self: &Rc<Self>, ask: &Ask, stream: UnixStream) {
        let id = QuestionId(self.next.get());
        self.next.set(id.0 + 1);
        let this = self.clone();
        let watch = agent::when_closed(&stream, move || this.withdrawn(id));
        self.askers.borrow_mut().insert(id, Asker { stream, watch });
        let question = Question::new(ask, &self.services);
        let now = self.now();
        let effects = self
            .prompt
            .borrow_mut()
            .asked(id, question, self.patience, now);
        self.perform(effects);
    }

    /// Takes something to tell.
    fn told(self: &Rc<Self>, notice: &Notify) {
        self.notices.told(notice, self);
    }

    /// Takes whether the policy daemon is there.
    fn policy(self: &Rc<Self>, is_there: bool) {
        let word = self.policy.borrow_mut().looked(is_there, self.now());
        if let Some(word) = word {
            self.notices.announce(word, self);
        }
    }

    fn withdrawn(self: &Rc<Self>, id: QuestionId) {
        // Its watch ends by itself.
        self.askers.borrow_mut().remove(&id);
        let effects = self.prompt.borrow_mut().withdrawn(id);
        self.perform(effects);
    }

    /// Takes what the user does.
    fn input(self: &Rc<Self>, input: Input) {
        let effects = self.prompt.borrow_mut().input(input, self.now());
        self.perform(effects);
    }

    fn perform(self: &Rc<Self>, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Answer(id, answer) => self.answer(id, &answer),
                Effect::Show => self.show(),
                Effect::Refresh => self.refresh(),
                Effect::Hide => {
                    if let Some(window) = self.window.take() {
                        window.window.destroy();
                    }
                }
            }
        }
    }

    fn answer(&self, id: QuestionId, answer: &Answer) {
        let Some(mut asker) = self.askers.borrow_mut().remove(&id) else {
            return;
        };
        asker.watch.remove();
        // An answer that gets lost is a refusal.
        if let Err(error) = asker.stream.write_all(&answer.encode()) {
            warn!("the policy daemon did not take an answer: {error}");
        }
    }

    /// Shows the question in view, in the window that is there or in a new one.
    fn show(self: &Rc<Self>) {
        let window = self.window.borrow().clone();
        match window {
            Some(window) => window.fill(self),
            None => {
                let window = AskWindow::open(self);
                self.window.replace(Some(window));
                let this = Rc::downgrade(self);
                glib::timeout_add_local(TICK, move || match this.upgrade() {
                    Some(session) => session.tick(),
                    None => glib::ControlFlow::Break,
                });
            }
        }
        self.refresh();
    }

    fn tick(self: &Rc<Self>) -> glib::ControlFlow {
        let effects = self.prompt.borrow_mut().tick(self.now());
        self.perform(effects);
        self.refresh();
        match self.window.borrow().is_some() {
            true => glib::ControlFlow::Continue,
            false => glib::ControlFlow::Break,
        }
    }

    fn refresh(self: &Rc<Self>) {
        let window = self.window.borrow().clone();
        if let Some(window) = window {
            window.refresh(&self.prompt.borrow(), self.now());
        }
    }
}
