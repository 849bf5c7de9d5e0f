// SPDX-License-Identifier: GPL-3.0-or-later
//! An installation with its daemons, its desktop and its guests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bulkhead_types::Layout;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::account::{Leftovers, account};
use crate::capture::{Captured, Running};
use crate::display::Display;
use crate::first_process::FirstProcess;
use crate::log::Log;
use crate::processes::Process;
use crate::programs::Programs;
use crate::readiness::Readiness;
use crate::wire::Start;

/// How long anything in a fixture may take before it counts as hung. Far above what it
/// takes, so that a busy machine fails no test.
const PATIENCE: Duration = Duration::from_secs(60);
/// The guests' files in a checkout.
const GUEST_FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../templates/guest");

/// The policy that every installation is shipped with.
const DEFAULT_POLICY: &str = include_str!("../../../policies/defaults/90-default.policy");

/// What a fixture has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixtureOptions {
    /// Whether dom0 has a display and a window manager.
    pub desktop: bool,
    /// Lines for the settings file, besides the back end, the programs and the display.
    pub settings: String,
    /// Files of the policy directory besides the one that is shipped: path and text.
    pub policies: Vec<(String, String)>,
    /// Programs that replace ours of the same name, such as one that never answers.
    pub replaced: Vec<(String, PathBuf)>,
    /// Program and arguments in front of the manager's own, such as a namespace to run in.
    pub manager_wrapper: Vec<String>,
}

impl Default for FixtureOptions {
    fn default() -> Self {
        Self {
            desktop: true,
            settings: String::new(),
            policies: Vec::new(),
            replaced: Vec::new(),
            manager_wrapper: Vec::new(),
        }
    }
}

/// An installation below a folder of its own, on the local back end.
#[derive(Debug)]
pub struct Fixture {
    // Dropped first: what runs must end before its folder goes.
    first: FirstProcess,
    layout: Layout,
    programs: Programs,
    display: Option<Display>,
    environment: BTreeMap<String, String>,
    daemons: BTreeMap<String, i32>,
    manager_wrapper: Vec<String>,
    folder: TempDir,
}

impl Fixture {
    /// Makes the folder, writes settings and policy, and starts desktop and daemons.
    pub fn start(options: &FixtureOptions) -> anyhow::Result<Self> {
        let programs = Programs::beside_this_test();
        // Short, since socket paths end at 107 bytes.
        let folder = tempfile::Builder::new().prefix("bk-").tempdir()?;
        let layout = Layout::below(folder.path());
        for path in [
            layout.logs(),
            layout.runtime(),
            layout.state(),
            folder.path().join("home"),
        ] {
            fs::create_dir_all(path)?;
        }
        let first = FirstProcess::start(&programs)?;
        let path = format!(
            "{}:/usr/local/bin:/usr/bin:/bin",
            programs.folder().display()
        );
        let mut environment = BTreeMap::from([
            ("BULKHEAD_ROOT", folder.path().display().to_string()),
            ("HOME", folder.path().join("home").display().to_string()),
            ("LANG", "C.UTF-8".to_owned()),
            ("PATH", path),
            ("RUST_BACKTRACE", "1".to_owned()),
        ])
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect::<BTreeMap<_, _>>();
        if let Ok(level) = std::env::var("RUST_LOG") {
            environment.insert("RUST_LOG".to_owned(), level);
        }
        let daemons = BTreeMap::new();
        let mut fixture = Self {
            first,
            layout,
            programs,
            display: None,
            environment,
            daemons,
            manager_wrapper: options.manager_wrapper.clone(),
            folder,
        };
        if options.desktop {
            fixture.start_desktop()?;
        }
        fixture.configure(options)?;
        fixture.start_daemon("policyd")?;
        fixture.start_daemon("bulkheadd")?;
        Ok(fixture)
    }

    fn start_desktop(&mut self) -> anyhow::Result<()> {
        let log = self.log("Xvfb")?;
        self.spawn("Xvfb", Display::server())?;
        let display = log.wait_for("the display's number", PATIENCE, Display::from_output)?;
        self.environment
            .insert("DISPLAY".to_owned(), display.name.clone());
        self.spawn("openbox", vec!["openbox".to_owned()])?;
        display.managed(PATIENCE)?;
        self.display = Some(display);
        Ok(())
    }

    fn configure(&self, options: &FixtureOptions) -> anyhow::Result<()> {
        let mut programs = self.programs.folder().to_owned();
        if !options.replaced.is_empty() {
            programs = self.folder.path().join("programs");
            self.assemble(&programs, &options.replaced)?;
        }
        let mut settings = format!("backend = \"local\"\n{}\n", options.settings);
        settings.push_str(&format!(
            "[programs]\ndirectory = {programs:?}\nguest_files = {GUEST_FILES:?}\n"
        ));
        if let Some(display) = &self.display {
            settings.push_str(&format!("[gui]\ndisplay = {:?}\n", display.name));
        }
        let [_, policies] = self.layout.policy_dirs();
        fs::create_dir_all(&policies)?;
        fs::write(self.layout.settings_file(), settings)?;
        fs::write(policies.join("90-default.policy"), DEFAULT_POLICY)?;
        for (name, text) in &options.policies {
            let path = policies.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&policies))?;
            fs::write(path, text)?;
        }
        Ok(())
    }

    /// A folder with all of our programs but those that are replaced. No symbolic links: a
    /// guest sees nothing but the folder.
    fn assemble(&self, folder: &Path, replaced: &[(String, PathBuf)]) -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        for entry in fs::read_dir(self.programs.folder())? {
            let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
            // Libraries and notes of the compiler lie there too.
            let program = path.is_file() && path.extension().is_none();
            let to = folder.join(&name);
            if program && fs::hard_link(&path, &to).is_err() {
                fs::copy(&path, &to)?;
            }
        }
        for (name, program) in replaced {
            let to = folder.join(name);
            fs::remove_file(&to)?;
            fs::copy(program, to)?;
        }
        Ok(())
    }

    /// The log of a daemon: `policyd`, `work-qrexec`, `work-console` …
    pub fn log(&self, name: &str) -> anyhow::Result<Log> {
        Log::at(self.layout.logs().join(format!("{name}.log")))
    }

    fn spawn(&mut self, name: &str, argv: Vec<String>) -> anyhow::Result<()> {
        let log = self.log(name)?.path().to_owned();
        let environment = self.environment.clone().into_iter().collect();
        let id = self.first.spawn(&Start {
            argv,
            environment,
            log,
        })?;
        self.daemons.insert(name.to_owned(), id);
        Ok(())
    }

    /// Starts one of our daemons again, and waits until it is ready.
    pub fn start_daemon(&mut self, name: &str) -> anyhow::Result<()> {
        let program = self.programs.find(name)?;
        let readiness = Readiness::at(self.folder.path().join(format!("{name}.ready")))?;
        let log = self.log(name)?.path().to_owned();
        let mut environment = self.environment.clone();
        environment.insert(
            "NOTIFY_SOCKET".to_owned(),
            readiness.path().display().to_string(),
        );
        let mut argv = match name {
            "bulkheadd" => self.manager_wrapper.clone(),
            _ => Vec::new(),
        };
        argv.push(program.display().to_string());
        let start = Start {
            argv,
            environment: environment.into_iter().collect(),
            log,
        };
        let id = self.first.spawn(&start)?;
        self.daemons.insert(name.to_owned(), id);
        let deadline = Instant::now() + PATIENCE;
        let step = Duration::from_millis(100);
        let waiting = || self.first.ended(id).is_none() && Instant::now() < deadline;
        readiness
            .wait(step, waiting)
            .with_context(|| format!("{name} is not ready\n{}", self.logs()))
    }

    /// Sends a signal to one of our daemons and waits for its end; gives its exit code.
    pub fn end_daemon(&self, name: &str, signal: Signal) -> anyhow::Result<i32> {
        let id = *self
            .daemons
            .get(name)
            .with_context(|| format!("{name} was not started"))?;
        kill(Pid::from_raw(id), signal).with_context(|| format!("{name} does not run"))?;
        self.first.wait(id, PATIENCE)
    }

    /// Kills a process of the fixture, such as a domain's daemon: the first whose program is
    /// `program` and whose command line holds `part`.
    pub fn kill_process(&self, program: &str, part: &str) -> anyhow::Result<()> {
        let all = self.processes();
        let found = all
            .iter()
            .find(|p| p.program() == program && p.command.contains(part));
        let process =
            found.with_context(|| format!("no {program} with `{part}` runs: {all:#?}"))?;
        kill(Pid::from_raw(process.id), Signal::SIGKILL)?;
        Ok(())
    }

    /// A command in dom0.
    pub fn command(&self, argv: &[&str]) -> Command {
        let mut command = Command::new(argv.first().unwrap_or(&"true"));
        // Looked up in the fixture's PATH: the library looks in this process's own.
        if let Some(program) = argv.first().and_then(|name| self.programs.find(name).ok()) {
            command = Command::new(program);
        }
        command
            .args(argv.iter().skip(1))
            .env_clear()
            .envs(&self.environment);
        command.current_dir(self.folder.path().join("home"));
        command
    }

    /// Runs a command in dom0 to its end.
    pub fn run(&self, argv: &[&str]) -> anyhow::Result<Captured> {
        Running::start(self.command(argv), Vec::new(), PATIENCE)?.finish()
    }

    /// Runs a command in dom0 that has to succeed; gives what it printed.
    pub fn ok(&self, argv: &[&str]) -> anyhow::Result<String> {
        let captured = self.run(argv)?;
        let line = argv.join(" ");
        let Captured { code, .. } = captured;
        ensure!(
            code == 0,
            "`{line}` ended with {code}\n{}\n{}",
            captured.complaint(),
            self.logs()
        );
        Ok(captured.text())
    }

    /// Where everything of this installation lies.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The folder that goes with the fixture; its root.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Dom0's desktop, if there is one.
    pub fn display(&self) -> Option<&Display> {
        self.display.as_ref()
    }

    /// How long a command may take at most.
    pub fn patience(&self) -> Duration {
        PATIENCE
    }

    /// Everything that runs in the fixture.
    pub fn processes(&self) -> Vec<Process> {
        self.first.descendants()
    }

    /// What is there besides the daemons and the desktop, when no guest should run.
    pub fn leftovers(&self) -> Leftovers {
        account(
            &self.layout,
            &self.processes(),
            &["policyd", "bulkheadd", "Xvfb", "openbox"],
        )
    }

    /// The last lines of every log, for an error.
    pub fn logs(&self) -> String {
        let entries = fs::read_dir(self.layout.logs())
            .into_iter()
            .flatten()
            .flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        let logs = paths.into_iter().filter_map(|path| Log::at(path).ok());
        logs.map(|log| log.tail()).collect::<Vec<_>>().join("\n")
    }

    /// Fails unless every daemon still runs.
    pub fn verify(&self) -> anyhow::Result<()> {
        for (name, id) in &self.daemons {
            if let Some(code) = self.first.ended(*id) {
                bail!("{name} ended with {code}\n{}", self.logs());
            }
        }
        Ok(())
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
    }
}
