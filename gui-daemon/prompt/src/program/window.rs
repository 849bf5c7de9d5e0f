// SPDX-License-Identifier: GPL-3.0-or-later
//! The window with the question.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bulkhead_prompt::{Input, Prompt};
use gtk4::gdk::{EventType, Key};
use gtk4::glib::Propagation;
use gtk4::prelude::*;
use gtk4::{EventControllerKey, EventControllerLegacy, PropagationPhase, Window};

use super::Session;
use super::desktop;
use super::question::Content;

/// The window and what it shows.
pub struct AskWindow {
    pub window: Window,
    content: RefCell<Option<Content>>,
}

impl AskWindow {
    /// Opens a window for the question in view.
    pub fn open(session: &Rc<Session>) -> Rc<Self> {
        let window = Window::builder()
            .title("Allow this call?")
            .default_width(520)
            .resizable(true)
            .build();
        window.add_css_class("ask");
        let this = Rc::new(Self {
            window,
            content: RefCell::default(),
        });
        this.guard(session);
        this.fill(session);
        desktop::show(&this.window);
        this.watch_painting(session);
        this
    }

    /// Shows the question in view in place of what was shown.
    pub fn fill(&self, session: &Rc<Session>) {
        let prompt = session.prompt.borrow();
        let Some(question) = prompt.question() else {
            return;
        };
        let title = format!("Allow this call? {}", question.sentence);
        self.window.set_title(Some(&title));
        let content = Content::new(question, session);
        self.window.set_child(Some(&content.root));
        gtk4::prelude::GtkWindowExt::set_focus(&self.window, Some(content.first_focus()));
        self.content.replace(Some(content));
    }

    /// Brings what is shown up to date.
    pub fn refresh(&self, prompt: &Prompt, now: Duration) {
        if let Some(content) = self.content.borrow().as_ref() {
            content.refresh(prompt, now);
        }
    }

    /// Tells the prompt when what it shows has been drawn.
    fn watch_painting(&self, session: &Rc<Session>) {
        let Some(clock) = self.window.surface().map(|surface| surface.frame_clock()) else {
            return;
        };
        let this = Rc::downgrade(session);
        clock.connect_after_paint(move |_| {
            if let Some(session) = this.upgrade()
                && let Ok(mut prompt) = session.prompt.try_borrow_mut()
            {
                prompt.painted(session.now());
            }
        });
    }

    /// Lets nothing through to the controls that was done before the question could be read.
    fn guard(&self, session: &Rc<Session>) {
        let keys = EventControllerKey::new();
        keys.set_propagation_phase(PropagationPhase::Capture);
        let this = Rc::downgrade(session);
        keys.connect_key_pressed(move |_, key, _, _| {
            let Some(session) = this.upgrade() else {
                return Propagation::Stop;
            };
            let counts = session.prompt.borrow().takes_keys(session.now());
            match key {
                _ if !counts => Propagation::Stop,
                Key::Escape => {
                    session.input(Input::Refuse);
                    Propagation::Stop
                }
                _ => Propagation::Proceed,
            }
        });
        self.window.add_controller(keys);

        let pointer = EventControllerLegacy::new();
        pointer.set_propagation_phase(PropagationPhase::Capture);
        let this = Rc::downgrade(session);
        pointer.connect_event(move |_, event| {
            use EventType::{ButtonPress, ButtonRelease, TouchBegin, TouchEnd};
            let done = [ButtonPress, ButtonRelease, TouchBegin, TouchEnd];
            let open = |session: Rc<Session>| session.prompt.borrow().is_open(session.now());
            match done.contains(&event.event_type()) && !this.upgrade().is_some_and(open) {
                true => Propagation::Stop,
                false => Propagation::Proceed,
            }
        });
        self.window.add_controller(pointer);

        let this = Rc::downgrade(session);
        self.window.connect_is_active_notify(move |window| {
            if let Some(session) = this.upgrade()
                && window.is_active()
            {
                session.prompt.borrow_mut().focused(session.now());
            }
        });
        let this = Rc::downgrade(session);
        self.window.connect_close_request(move |_| {
            if let Some(session) = this.upgrade() {
                session.input(Input::Refuse);
            }
            // The window goes when its question does.
            Propagation::Stop
        });
    }
}
