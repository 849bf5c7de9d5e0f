// SPDX-License-Identifier: GPL-3.0-or-later
//! A `policyd` below a root of its own, with a domain manager played by the bench.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command};

use bulkhead_types::Layout;

/// Ends the daemon when the run is over, however it ends.
pub struct Machine {
    root: tempfile::TempDir,
    manager: UnixListener,
    watch: Option<UnixStream>,
    notify: UnixDatagram,
    child: Option<Child>,
    domains: usize,
}

/// So many domains ask in turn, so that none of them reaches a quota.
pub const ASKERS: usize = 100;

/// A policy of so many rules, of which the last allows the askers to call `my.Service1` of `vault`.
pub fn rules(count: usize) -> String {
    let mut text = String::new();
    for n in 1..count {
        let _ = writeln!(
            text,
            "my.Service{} * asker{} vm{n} deny",
            n % 100,
            n % ASKERS
        );
    }
    text + "my.Service1 * @tag:asker vault allow\n"
}

impl Machine {
    pub fn start(policy: &str, domains: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::below(root.path());
        fs::create_dir_all(&layout.policy_dirs()[1]).unwrap();
        fs::create_dir_all(layout.runtime()).unwrap();
        let mut machine = Self {
            manager: UnixListener::bind(layout.internal_socket()).unwrap(),
            notify: UnixDatagram::bind(root.path().join("notify")).unwrap(),
            watch: None,
            child: None,
            root,
            domains,
        };
        machine.install(policy);
        machine.start_again();
        machine
    }

    fn layout(&self) -> Layout {
        Layout::below(self.root.path())
    }

    pub fn questions(&self) -> PathBuf {
        self.layout().policy_socket()
    }

    /// The daemon's thread that answers: its first.
    pub fn answerer(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn start_again(&mut self) {
        let root = self.root.path();
        let daemon = Command::new(env!("CARGO_BIN_EXE_policyd"))
            .env(Layout::ROOT_VARIABLE, root)
            .env("NOTIFY_SOCKET", root.join("notify"))
            .stderr(File::create(root.join("log")).unwrap())
            .spawn();
        let daemon = daemon.unwrap();
        if let Ok(priority) = env::var("ANSWERER_PRIORITY") {
            let mut change = Command::new("chrt");
            change.args(["--reset-on-fork", "--fifo", "--pid", &priority]);
            let changed = change.arg(daemon.id().to_string()).status().unwrap();
            assert!(changed.success(), "cannot set the daemon's priority");
        }
        self.child = Some(daemon);
        let (mut watch, _) = self.manager.accept().unwrap();
        let mut request = Vec::new();
        BufReader::new(&watch).read_until(0, &mut request).unwrap();
        watch.write_all(b"0\0").unwrap();
        self.watch = Some(watch);
        self.say(self.domains);
        self.await_notification(&["READY=1", &format!("; {} domains", self.domains)]);
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Puts a policy into place; returns when it decides.
    pub fn install(&self, text: &str) {
        let aside = self.root.path().join("aside");
        fs::write(&aside, text).unwrap();
        let place = self.layout().policy_dirs()[1].join("30-user.policy");
        fs::rename(aside, place).unwrap();
        if self.child.is_some() {
            self.await_notification(&[&format!("STATUS={} rules", text.lines().count())]);
        }
    }

    /// The domain manager tells of so many domains, another number than before; returns when
    /// that counts.
    pub fn tell_domains(&mut self, domains: usize) {
        if domains != self.domains {
            self.domains = domains;
            self.say(domains);
            self.await_notification(&[&format!("; {domains} domains")]);
        }
    }

    fn say(&mut self, domains: usize) {
        let mut line = r#"{"domains":{"vault":{"type":"AppVM"}"#.to_owned();
        for n in 1..domains {
            let (name, tag) = match n {
                ..=ASKERS => (format!("asker{}", n - 1), "asker"),
                _ => (format!("vm{n}"), "all"),
            };
            let _ = write!(
                line,
                r#","{name}":{{"type":"AppVM","tags":["{tag}"],"power_state":"Halted","uuid":"{n:08x}-1111-4111-8111-111111111111"}}"#
            );
        }
        line.push_str("}}\n");
        let watch = self.watch.as_mut().unwrap();
        watch.write_all(line.as_bytes()).unwrap();
    }

    fn await_notification(&self, wanted: &[&str]) {
        let mut wanted = wanted.to_vec();
        let mut said = [0; 512];
        while !wanted.is_empty() {
            let length = self.notify.recv(&mut said).unwrap();
            let said = String::from_utf8_lossy(&said[..length]);
            wanted.retain(|text| !said.contains(text));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}
