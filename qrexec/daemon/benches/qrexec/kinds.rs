// SPDX-License-Identifier: GPL-3.0-or-later
//! The kinds of call that pairings make.

use std::path::Path;
use std::process::Command;

use crate::cast::mentions;
use crate::site::{FORBIDDEN, Site};

/// Bytes in the calls that carry many.
const MANY: usize = 3 << 20;
/// Far more than a name, less than what an old control channel holds.
const LONG: usize = 1500;

/// A kind of call: how it is made, its input, and what has to come of it.
pub struct Kind {
    pub name: &'static str,
    pub client: fn(&Site) -> Command,
    pub input: Vec<u8>,
    pub code: i32,
    pub output: Vec<u8>,
}

impl Kind {
    /// A call without input that ends with 0 and says `output`.
    fn new(name: &'static str, client: fn(&Site) -> Command, output: &str) -> Self {
        Self {
            name,
            client,
            input: Vec::new(),
            code: 0,
            output: output.into(),
        }
    }

    fn code(self, code: i32) -> Self {
        Self { code, ..self }
    }

    fn input(self, input: &[u8]) -> Self {
        Self {
            input: input.into(),
            ..self
        }
    }

    /// What goes in comes out again.
    fn echo(self, bytes: &[u8]) -> Self {
        Self {
            input: bytes.into(),
            output: bytes.into(),
            ..self
        }
    }
}

/// What programs like those in `folder` can do.
pub fn kinds(folder: &Path) -> Vec<Kind> {
    let mut all = every_version();
    // Before Qubes 4.2 clients lose a service's exit code when it does not read its input, and services are
    // started by a script that has codes of its own.
    if mentions(folder, "qrexec-client-vm", "use-stdin-socket") {
        all.extend(sockets());
        all.extend(failures());
    }
    all
}

fn every_version() -> Vec<Kind> {
    let many: Vec<u8> = (0..MANY).map(|n| (n / 7 % 251) as u8).collect();
    let counted = format!("{MANY}\n");
    let long = format!("dom0 {}\n", "x".repeat(LONG));
    vec![
        Kind::new("dom0: command", |s| command(s, "cat; exit 3"), "")
            .echo(b"some bytes")
            .code(3),
        Kind::new(
            "dom0: service",
            |s| s.dom0_calls("pair.Told+arg"),
            "dom0 arg\n",
        ),
        Kind::new("dom0: many bytes", |s| s.dom0_calls("bench.Cat"), "").echo(&many),
        Kind::new("dom0: long argument", long_argument, &long),
        Kind::new("dom0: exit code", |s| s.dom0_calls("pair.Fail"), "out\n").code(42),
        Kind::new("dom0: killed service", |s| command(s, "kill -TERM $$"), "").code(143),
        Kind::new("dom0: half close", |s| s.dom0_calls("pair.Count"), &counted).input(&many),
        Kind::new("dom0: just start", just_start, ""),
        Kind::new("dom0: local program", local_program, "").code(5),
        Kind::new(
            "guests: service",
            |s| s.guest_calls("personal", "pair.Told+arg"),
            "work arg\n",
        ),
        Kind::new(
            "guests: many bytes",
            |s| s.guest_calls("personal", "bench.Cat"),
            "",
        )
        .echo(&many),
        Kind::new(
            "guests: exit code",
            |s| s.guest_calls("personal", "pair.Fail"),
            "out\n",
        )
        .code(42),
        Kind::new(
            "guests: half close",
            |s| s.guest_calls("personal", "pair.Count"),
            &counted,
        )
        .input(&many),
        Kind::new(
            "guests: refused",
            |s| s.guest_calls(FORBIDDEN, "bench.Cat"),
            "",
        )
        .code(126),
        Kind::new("guests: local program", guest_program, "").code(5),
        Kind::new(
            "to dom0: service",
            |s| s.guest_calls("dom0", "pair.Told+arg"),
            "work arg\n",
        ),
        Kind::new(
            "to dom0: many bytes",
            |s| s.guest_calls("dom0", "bench.Cat"),
            "",
        )
        .echo(&many),
        Kind::new(
            "to dom0: exit code",
            |s| s.guest_calls("dom0", "pair.Fail"),
            "out\n",
        )
        .code(42),
        Kind::new(
            "to dom0: half close",
            |s| s.guest_calls("dom0", "pair.Count"),
            &counted,
        )
        .input(&many),
    ]
}

fn sockets() -> Vec<Kind> {
    vec![
        Kind::new("dom0: socket", |s| s.dom0_calls("bench.Socket"), "!"),
        Kind::new(
            "guests: socket",
            |s| s.guest_calls("personal", "bench.Socket"),
            "!",
        ),
        Kind::new(
            "to dom0: socket",
            |s| s.guest_calls("dom0", "bench.Socket"),
            "!",
        ),
        Kind::new("dom0: TCP", |s| s.dom0_calls("pair.Tcp"), "tcp"),
        Kind::new(
            "guests: TCP",
            |s| s.guest_calls("personal", "pair.Tcp"),
            "tcp",
        ),
    ]
}

fn failures() -> Vec<Kind> {
    let many = vec![1; MANY];
    vec![
        Kind::new(
            "dom0: deaf service",
            |s| s.dom0_calls("pair.Deaf"),
            "deaf\n",
        )
        .input(&many)
        .code(7),
        Kind::new(
            "guests: deaf service",
            |s| s.guest_calls("personal", "pair.Deaf"),
            "deaf\n",
        )
        .input(&many)
        .code(7),
        Kind::new("dom0: missing service", |s| s.dom0_calls("pair.None"), "").code(127),
        Kind::new(
            "guests: missing service",
            |s| s.guest_calls("personal", "pair.None"),
            "",
        )
        .code(127),
        Kind::new(
            "to dom0: missing service",
            |s| s.guest_calls("dom0", "pair.None"),
            "",
        )
        .code(127),
        Kind::new("dom0: no program", |s| s.dom0_calls("pair.Text"), "").code(125),
    ]
}

/// A call from dom0 to personal with a command for the shell.
fn command(site: &Site, text: &str) -> Command {
    let mut client = site.client();
    client.args(["-d", "personal"]);
    client.arg(format!("{}:{text}", site.user()));
    client
}

fn long_argument(site: &Site) -> Command {
    site.dom0_calls(&format!("pair.Told+{}", "x".repeat(LONG)))
}

fn just_start(site: &Site) -> Command {
    let mut client = site.client();
    client.args(["-e", "-d", "personal"]);
    client.arg(format!("{}:exec sleep 1", site.user()));
    client
}

/// The local program compares what the service says, and has a code of its own.
fn local_program(site: &Site) -> Command {
    let mut client = site.client();
    let program = "echo hello; read answer; test \"$answer\" = hello && exit 5";
    client.args(["-d", "personal", "-l", program]);
    client.arg(format!("{}:QUBESRPC bench.Cat dom0", site.user()));
    client
}

fn guest_program(site: &Site) -> Command {
    let mut client = site.guest_calls("personal", "bench.Cat");
    let program = "echo hello; read answer; exec >&-; test \"$answer\" = hello && exit 5";
    client.args(["/bin/sh", "-c", program]);
    client
}
