// SPDX-License-Identifier: GPL-3.0-or-later
//! The results, in the form of Rust's test runner.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

/// What was promised, and what came of it.
#[derive(Default)]
pub struct Report {
    promised: Vec<&'static str>,
    played: BTreeSet<String>,
    passed: u32,
    failed: Vec<(String, String)>,
}

impl Report {
    /// Names cases that have to be played.
    pub fn promise(&mut self, cases: &[&'static str]) {
        self.promised.extend(cases);
    }

    /// Plays a case and notes how it went.
    pub fn case(&mut self, name: &str, body: impl FnOnce() -> anyhow::Result<()>) {
        let begun = Instant::now();
        let failure = body().err().map(|error| format!("{error:#}"));
        self.note(name, begun.elapsed().as_secs_f64(), failure);
    }

    /// Notes a case that was played elsewhere.
    pub fn note(&mut self, name: &str, seconds: f64, failure: Option<String>) {
        self.played.insert(name.to_owned());
        match failure {
            None => {
                println!("test box::{name} ... ok ({seconds:.1} s)");
                self.passed += 1;
            }
            Some(failure) => {
                println!(
                    "test box::{name} ... FAILED ({seconds:.1} s)\n    {}",
                    failure.replace('\n', "\n    ")
                );
                self.failed.push((name.to_owned(), failure));
            }
        }
    }

    /// Prints the closing lines; cases that did not run have failed.
    pub fn close(mut self) -> ExitCode {
        for name in std::mem::take(&mut self.promised) {
            if !self.played.contains(name) {
                self.note(name, 0.0, Some("was promised and did not run".into()));
            }
        }
        if !self.failed.is_empty() {
            println!("\nfailures:");
            for (name, failure) in &self.failed {
                println!(
                    "    box::{name}: {}",
                    failure.lines().next().unwrap_or_default()
                );
            }
        }
        let verdict = if self.failed.is_empty() {
            "ok"
        } else {
            "FAILED"
        };
        println!(
            "\ntest result: {verdict}. {} passed; {} failed; 0 ignored; 0 measured; 0 filtered out",
            self.passed,
            self.failed.len()
        );
        if self.failed.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
