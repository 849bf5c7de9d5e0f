// SPDX-License-Identifier: GPL-3.0-or-later
//! What the tests of faults start from, and what must be true after each of them.

use std::collections::BTreeSet;
use std::fs;

use bulkhead_admin::DomainSummary;
use testkit::{Captured, Fixture, FixtureOptions, Running};

/// What the tests need besides the shipped policy: a service that answers when it is told.
pub const POLICY: &str = "\
qubes.Filecopy  *  work       personal  allow
qubes.VMShell   *  untrusted  @dispvm   allow
qubes.VMShell   *  work       personal  allow
";

/// An installation with the domains of the story.
pub struct Scene {
    pub fixture: Fixture,
}

impl Scene {
    /// Without a desktop.
    pub fn new() -> Self {
        Self::with(FixtureOptions {
            desktop: false,
            ..FixtureOptions::default()
        })
    }

    pub fn with(mut options: FixtureOptions) -> Self {
        options
            .policies
            .push(("30-user.policy".into(), POLICY.into()));
        let scene = Self {
            fixture: Fixture::start(&options).unwrap(),
        };
        let folder = scene.fixture.folder().display().to_string();
        scene.ok(&["bulkhead", "template", "install", "debian", &folder]);
        for (name, label) in [
            ("work", "blue"),
            ("personal", "green"),
            ("untrusted", "red"),
        ] {
            scene.ok(&[
                "bulkhead",
                "create",
                name,
                "--template",
                "debian",
                "--label",
                label,
            ]);
        }
        let base = [
            "bulkhead",
            "create",
            "disp-base",
            "--template",
            "debian",
            "--label",
            "red",
        ];
        scene.ok(&[&base[..], &["--for-disposables"]].concat());
        scene.ok(&["bulkhead", "default", "disposable", "disp-base"]);
        scene
    }

    pub fn ok(&self, argv: &[&str]) -> String {
        self.fixture.ok(argv).unwrap()
    }

    pub fn run(&self, argv: &[&str]) -> Captured {
        self.fixture.run(argv).unwrap()
    }

    /// Runs a command that has to fail; gives its exit code and its complaints.
    pub fn fails(&self, argv: &[&str]) -> (i32, String) {
        let captured = self.run(argv);
        let complaint = captured.complaint();
        assert_ne!(
            captured.code,
            0,
            "`{}` succeeded: {}",
            argv.join(" "),
            captured.text()
        );
        (captured.code, complaint)
    }

    /// Starts a call of dom0 and returns when the domain's shell has printed `here`.
    pub fn call(&self, domain: &str, script: &str) -> Running {
        let script = format!("echo here; {script}");
        let argv = ["bulkhead", "run", domain, "--", "sh", "-c", &script];
        let running = self.start(&argv, "");
        running.prints("here").unwrap();
        running
    }

    pub fn start(&self, argv: &[&str], input: &str) -> Running {
        self.start_with(argv, input.into())
    }

    /// Starts a command that reads `input`.
    pub fn start_with(&self, argv: &[&str], input: Vec<u8>) -> Running {
        let limit = self.fixture.patience();
        Running::start(self.fixture.command(argv), input, limit).unwrap()
    }

    /// The next run works: dom0 gets an answer and a copy arrives.
    pub fn works(&self) {
        assert_eq!(
            self.ok(&["bulkhead", "run", "work", "--", "echo", "well"]),
            "well\n"
        );
        let copy = "rm -f n.txt; echo text > n.txt; exec bulkhead-copy personal n.txt";
        let clean = "rm -rf QubesIncoming";
        self.ok(&["bulkhead", "run", "personal", "--", "sh", "-c", clean]);
        self.ok(&["bulkhead", "run", "work", "--", "sh", "-c", copy]);
        let read = [
            "bulkhead",
            "run",
            "personal",
            "--",
            "cat",
            "QubesIncoming/work/n.txt",
        ];
        assert_eq!(self.ok(&read), "text\n");
    }

    /// Waits until the policy daemon decides by what the files say now.
    pub fn policy_is_live(&self) {
        #[derive(serde::Deserialize)]
        struct Checked {
            rules: usize,
        }
        let checked = self.ok(&["bulkhead", "policy", "check", "--json"]);
        let Checked { rules } = serde_json::from_str(&checked).unwrap();
        let wanted = format!("the policy has {rules} rules");
        let last = |text: &str| {
            let line = text.lines().rfind(|line| line.contains("the policy has"))?;
            line.ends_with(&wanted).then_some(())
        };
        let log = self.fixture.log("policyd").unwrap();
        log.wait_for(&wanted, self.fixture.patience(), last)
            .unwrap();
    }

    /// Waits until a domain's qrexec daemon has met the agent `times` times.
    pub fn agent_met(&self, domain: &str, times: usize) {
        let met = format!("the agent of {domain} is there");
        self.logged(&format!("{domain}-qrexec"), &met, times);
    }

    /// Waits until a domain's GUI daemon has met the agent `times` times.
    pub fn gui_met(&self, domain: &str, times: usize) {
        self.logged(&format!("{domain}-gui"), "the agent is connected", times);
    }

    fn logged(&self, log: &str, text: &str, times: usize) {
        let log = self.fixture.log(log).unwrap();
        let enough = |all: &str| (all.matches(text).count() >= times).then_some(());
        log.wait_for(text, self.fixture.patience(), enough).unwrap();
    }

    pub fn domains(&self) -> Vec<DomainSummary> {
        serde_json::from_str(&self.ok(&["bulkhead", "ls", "--json"])).unwrap()
    }

    /// Ends the running domains and takes account: nothing may be left but the domains
    /// themselves and the daemons.
    pub fn over(self) {
        let domains = self.domains();
        let running = domains
            .iter()
            .filter(|d| d.state != "Halted" && d.name != "dom0");
        for domain in running {
            self.ok(&["bulkhead", "kill", &domain.name]);
        }
        let known: BTreeSet<String> = self.domains().into_iter().map(|d| d.name).collect();
        assert!(
            !known
                .iter()
                .any(|name| name.starts_with("disp") && name != "disp-base"),
            "{known:?}"
        );
        for entry in fs::read_dir(self.fixture.layout().pool()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(
                known.contains(&name) || name == "bulkhead-pool",
                "{name} is left in the pool"
            );
        }
        let leftovers = self.fixture.leftovers();
        assert!(leftovers.is_empty(), "{leftovers}\n{}", self.fixture.logs());
        self.fixture.verify().unwrap();
    }
}
