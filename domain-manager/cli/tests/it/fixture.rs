// SPDX-License-Identifier: GPL-3.0-or-later
//! An installation in a folder, whose domain manager says what the test wants.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use bulkhead_admin::{Exception, Reply, Request};
use bulkhead_types::Layout;

pub struct Fixture {
    dir: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
    editor: Option<String>,
}

impl Fixture {
    /// Without a domain manager.
    pub fn alone() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("bulkhead")
            .tempdir()
            .unwrap();
        Self {
            dir,
            asked: Arc::default(),
            editor: None,
        }
    }

    /// Has this shell script edit the files that the command gives to an editor, as `$1`.
    pub fn editor(&mut self, script: &str) {
        self.write("editor", script);
        self.editor = Some(format!("sh {}", self.path("editor").display()));
    }

    /// With one that has these answers, by method; anything else is not found.
    pub fn answering(answers: &[(&str, Reply)]) -> Self {
        let fixture = Self::alone();
        let layout = Layout::below(fixture.dir.path());
        fs::create_dir_all(layout.runtime()).unwrap();
        let listener = UnixListener::bind(layout.admin_socket()).unwrap();
        let answers: HashMap<String, Reply> = answers
            .iter()
            .map(|(method, reply)| ((*method).to_owned(), reply.clone()))
            .collect();
        let asked = fixture.asked.clone();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).unwrap();
                let request = Request::decode(&bytes).unwrap();
                let payload = String::from_utf8_lossy(&request.payload).into_owned();
                let line = format!("{} {} {payload}", request.method, request.destination);
                asked.lock().unwrap().push(line.trim_end().to_owned());
                let unknown = refusal("ProtocolError", "not prepared");
                let reply = answers.get(&request.method.to_string()).unwrap_or(&unknown);
                stream.write_all(&reply.encode()).unwrap();
            }
        });
        fixture
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs the command; what it printed and how it ended, with the folder as `$ROOT`.
    #[must_use = "either snapshot the output or assert on it"]
    pub fn run(&self, words: &[&str]) -> String {
        self.run_with(words, b"")
    }

    /// As [`Self::run`], in a terminal of so many columns.
    #[must_use = "either snapshot the output or assert on it"]
    pub fn run_in(&self, columns: &str, words: &[&str]) -> String {
        self.run_as(columns, words, b"")
    }

    /// As [`Self::run`], with something to read on standard input.
    #[must_use = "either snapshot the output or assert on it"]
    pub fn run_with(&self, words: &[&str], input: &[u8]) -> String {
        self.run_as("100", words, input)
    }

    fn run_as(&self, columns: &str, words: &[&str], input: &[u8]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead"));
        let command = command
            .args(words)
            .current_dir(self.dir.path())
            .env_clear()
            .env(Layout::ROOT_VARIABLE, self.dir.path())
            .env("COLUMNS", columns)
            .env("TMPDIR", self.dir.path())
            .envs(self.editor.iter().map(|editor| ("EDITOR", editor)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        // Who does not read may close the pipe.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let mut text = String::from_utf8(output.stdout).unwrap();
        for line in String::from_utf8(output.stderr).unwrap().lines() {
            text.push_str(format!("! {line}").trim_end());
            text.push('\n');
        }
        if !output.status.success() {
            text.push_str(&format!("[exit code {}]\n", output.status.code().unwrap()));
        }
        text.replace(self.dir.path().to_str().unwrap(), "$ROOT")
    }

    /// What the domain manager was asked.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

pub fn content(text: &str) -> Reply {
    Reply::Ok(text.as_bytes().to_vec())
}

pub fn refusal(kind: &str, message: &str) -> Reply {
    Reply::Exception(Exception {
        kind: kind.to_owned(),
        message: message.to_owned(),
    })
}
