// SPDX-License-Identifier: GPL-3.0-or-later
//! A guest: an X server, the agent, and programs with windows.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::dom0::Dom0;
use crate::xserver::{Program, XServer};

pub struct Guest {
    pub server: XServer,
    agent: Option<Program>,
    domid: u32,
    vchans: PathBuf,
}

/// The agent, built if need be: it belongs to another package, so Cargo does not see to it.
fn agent_program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "gui-agent"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let built = build.status();
        assert!(built.expect("cargo runs").success());
        PathBuf::from(env!("CARGO_BIN_EXE_gui-daemon")).with_file_name("bulkhead-gui-agent")
    })
}

impl Guest {
    pub fn start(dom0: &Dom0, domid: u32) -> Self {
        let mut guest = Self {
            server: XServer::start("1920x1200"),
            agent: None,
            domid,
            vchans: dom0.vchans(),
        };
        guest.start_agent();
        guest
    }

    /// Starts the agent, after ending the one that runs.
    pub fn start_agent(&mut self) {
        self.agent = None;
        self.agent = Some(Program::start(
            Command::new(agent_program())
                .args(["--display", &self.server.display])
                .env("BULKHEAD_VCHAN", format!("local:{}", self.vchans.display()))
                .env("VCHAN_DOMAIN", self.domid.to_string())
                .stderr(Stdio::null()),
        ));
    }

    /// Opens a terminal with this title, running a shell script.
    pub fn terminal(&self, title: &str, script: &str) -> Program {
        Program::start(
            Command::new("xterm")
                .args(["-geometry", "60x12", "-T", title, "-e", "sh", "-c", script])
                .env("DISPLAY", &self.server.display)
                .stderr(Stdio::null()),
        )
    }
}
