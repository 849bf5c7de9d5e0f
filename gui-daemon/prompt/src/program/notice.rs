// SPDX-License-Identifier: GPL-3.0-or-later
//! A small window for what became of calls. It takes no keys and goes by itself.

use std::cell::RefCell;
use std::rc::Rc;

use bulkhead_prompt::{LIFETIME, Notices, Word};
use gtk4::prelude::*;
use gtk4::{Box as Row, Label, Orientation, Window, glib};
use policy_agent_protocol::Notify;

use super::{Session, desktop};

/// What is told, and the window that tells it.
#[derive(Default)]
pub struct NoticeBoard {
    notices: RefCell<Notices>,
    window: RefCell<Option<Window>>,
}

impl NoticeBoard {
    /// Takes a notice.
    pub fn told(&self, notice: &Notify, session: &Rc<Session>) {
        self.notices.borrow_mut().told(notice, session.now());
        self.show_for_a_while(session);
    }

    /// Takes something about all calls.
    pub fn announce(&self, word: Word, session: &Rc<Session>) {
        let mut notices = self.notices.borrow_mut();
        notices.announce(word.text(), session.now());
        drop(notices);
        self.show_for_a_while(session);
    }

    fn show_for_a_while(&self, session: &Rc<Session>) {
        self.show();
        let this = Rc::downgrade(session);
        glib::timeout_add_local_once(LIFETIME, move || {
            if let Some(session) = this.upgrade() {
                let now = session.now();
                session.notices.notices.borrow_mut().tick(now);
                session.notices.show();
            }
        });
    }

    fn show(&self) {
        let lines = self.notices.borrow().lines();
        if lines.is_empty() {
            if let Some(window) = self.window.take() {
                window.destroy();
            }
            return;
        }
        let list = Row::new(Orientation::Vertical, 0);
        for line in &lines {
            let label = Label::new(Some(line));
            label.add_css_class("line");
            label.set_xalign(0.0);
            list.append(&label);
        }
        if let Some(window) = self.window.borrow().as_ref() {
            window.set_child(Some(&list));
            return;
        }
        let window = Window::builder()
            .title("Policy notices")
            .resizable(false)
            .can_focus(false)
            .child(&list)
            .build();
        window.add_css_class("notice");
        desktop::show(&window);
        desktop::keep_in_corner(&window);
        self.window.replace(Some(window));
    }
}
