// SPDX-License-Identifier: GPL-3.0-or-later
//! A whole installation, with the policy that is shipped and a rule that asks about one more
//! service, two domains and a prompt.

use std::ops::Deref;

use testkit::{Captured, Fixture, FixtureOptions, Running};

use crate::desktop::NO_BUS;
use crate::screen::Screen;

pub struct Installation {
    // Goes first: it has nothing to show without the others.
    prompt: Option<Running>,
    screen: Screen,
    pub fixture: Fixture,
}

impl Installation {
    /// Without a prompt.
    pub fn start() -> Self {
        let rules = "\
test.Other  *  work  personal  ask
test.Loud   *  work  personal  deny
test.Quiet  *  work  personal  deny  notify=no
";
        let fixture = Fixture::start(&FixtureOptions {
            policies: vec![("30-user.policy".to_owned(), rules.to_owned())],
            ..FixtureOptions::default()
        });
        let fixture = fixture.unwrap();
        let folder = fixture.folder().display().to_string();
        let display = fixture.display().unwrap().name.clone();
        let screen = Screen::connect(&display);
        let it = Self {
            prompt: None,
            screen,
            fixture,
        };
        it.ok(&["bulkhead", "template", "install", "debian", &folder]);
        for (name, label) in [("work", "blue"), ("personal", "green")] {
            let create = ["bulkhead", "create", name, "--template", "debian"];
            it.ok(&[&create[..], &["--label", label]].concat());
            it.ok(&["bulkhead", "start", name]);
        }
        it.in_domain("work", "echo text > n.txt");
        it
    }

    /// The session's prompt, and what it needs to be one.
    pub fn start_prompt(&mut self, patience: u64) {
        self.start_prompt_on(NO_BUS, patience);
    }

    /// The same, with this message bus in the session.
    pub fn start_prompt_on(&mut self, bus: &str, patience: u64) {
        let patience = patience.to_string();
        let mut command = self
            .fixture
            .command(&["bulkhead-prompt", "--patience", &patience]);
        command
            .env("DBUS_SESSION_BUS_ADDRESS", bus)
            .env("GDK_BACKEND", "x11")
            .env("GSK_RENDERER", "cairo");
        let limit = 10 * self.fixture.patience();
        self.prompt = Some(Running::start(command, Vec::new(), limit).unwrap());
        let socket = self.fixture.layout().policy_agent_socket();
        self.wait_for("the prompt listens", |_| {
            std::os::unix::net::UnixStream::connect(&socket).ok()
        });
    }

    /// Ends the prompt as a crash does.
    pub fn kill_prompt(&mut self) {
        let prompt = self.prompt.take().unwrap();
        prompt.kill();
        assert_eq!(prompt.finish().unwrap().code, 128 + 9);
    }

    pub fn ok(&self, argv: &[&str]) -> String {
        self.fixture.ok(argv).unwrap()
    }

    pub fn in_domain(&self, domain: &str, script: &str) -> String {
        self.ok(&["bulkhead", "run", domain, "--", "sh", "-c", script])
    }

    /// Starts a call of `work`: its shell runs what asks.
    pub fn call(&self, script: &str) -> Running {
        let argv = ["bulkhead", "run", "work", "--", "sh", "-c", script];
        let limit = self.fixture.patience();
        Running::start(self.fixture.command(&argv), Vec::new(), limit).unwrap()
    }

    /// `work` copies a file to `personal`.
    pub fn copy(&self) -> Running {
        self.call("exec bulkhead-copy personal n.txt")
    }

    /// Takes the file away that has arrived in `personal`.
    pub fn arrived(&self) -> String {
        self.in_domain(
            "personal",
            "cat QubesIncoming/work/n.txt && rm -r QubesIncoming",
        )
    }

    pub fn nothing_arrived(&self) {
        assert_eq!(self.in_domain("personal", "ls"), "");
    }

    /// What the ledger says of the last call: the verdict, what the user said, the reason.
    pub fn last_record(&self) -> String {
        let query = ["service=qubes.Filecopy", "event=decision", "--last", "1"];
        let audit = [&["bulkhead", "policy", "audit"], &query[..]].concat();
        let audit = self.ok(&[&audit[..], &["--format", "json"]].concat());
        let entries: Vec<serde_json::Value> = serde_json::from_str(&audit).unwrap();
        let [record] = &entries[..] else {
            panic!("{audit}");
        };
        let word = |name: &str| record[name].as_str().unwrap_or("-").to_owned();
        ["verdict", "prompt", "reason"].map(word).join("; ")
    }
}

impl Deref for Installation {
    type Target = Screen;

    fn deref(&self) -> &Screen {
        &self.screen
    }
}

/// A call that was refused, in the words of the caller's program.
pub fn refusal(call: Running) -> String {
    let ended: Captured = call.finish().unwrap();
    assert_eq!(ended.code, 126, "{}", ended.complaint());
    ended.complaint()
}
