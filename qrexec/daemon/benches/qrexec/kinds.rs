// SPDX-License-Identifier: GPL-3.0-or-later
//! The kinds of call that pairings make.

use std::path::Path;
use std::process::Command;

use crate::cast::mentions;
use crate::site::{FORBIDDEN, PERSONAL, Site, uuid};

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
    /// What has to stand somewhere in the errors.
    pub errors: &'static str,
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
            errors: "",
        }
    }

    fn errors(self, errors: &'static str) -> Self {
        Self { errors, ..self }
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
    let newer = [
        (
            "qrexec-client",
            "--no-exit-code",
            codes_dropped as fn() -> Vec<Kind>,
        ),
        ("qrexec-client", "prefix-data", prefix),
        ("qrexec-client-vm", "prefix-data", guest_prefix),
        ("qrexec-daemon", "--uuid", uuids),
    ];
    for (program, word, kinds) in newer {
        if mentions(folder, program, word) {
            all.extend(kinds());
        }
    }
    // Before Qubes 4.2 clients lose a service's exit code when it does not read its input, and services are
    // started by a script that has codes of its own.
    if mentions(folder, "qrexec-client-vm", "use-stdin-socket") {
        all.extend(sockets());
        all.extend(failures());
    }
    all
}

/// What only a site with a session can be asked for.
pub fn in_session() -> Vec<Kind> {
    let told = "in the session\n";
    vec![
        Kind::new("dom0: in a session", |s| s.dom0_calls("pair.Session"), told),
        Kind::new(
            "guests: in a session",
            |s| s.guest_calls("personal", "pair.Session"),
            told,
        ),
        Kind::new(
            "dom0: command in a session",
            |s| command(s, "echo \"$PAIR_SESSION\""),
            told,
        ),
    ]
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
        Kind::new(
            "dom0: default user",
            |s| s.dom0_says("DEFAULT:QUBESRPC pair.Told+arg dom0"),
            "dom0 arg\n",
        ),
        Kind::new("dom0: without a session", without_session, "dom0 arg\n"),
        Kind::new("dom0: errors", |s| s.dom0_calls("pair.Fail"), "out\n")
            .code(42)
            .errors("trouble"),
        Kind::new(
            "dom0: one socket",
            |s| s.dom0_calls("pair.OneSocket"),
            "back\n",
        ),
        Kind::new(
            "dom0: output closed, on the input",
            |s| s.dom0_calls("pair.OnInput"),
            "back\n",
        ),
        Kind::new(
            "guests: errors",
            |s| s.guest_calls("personal", "pair.Fail"),
            "out\n",
        )
        .code(42)
        .errors("trouble"),
        Kind::new(
            "guests: one socket",
            |s| s.guest_calls("personal", "pair.OneSocket"),
            "back\n",
        ),
        Kind::new(
            "guests: output closed, on the input",
            |s| s.guest_calls("personal", "pair.OnInput"),
            "back\n",
        ),
        Kind::new(
            "guests: end of options",
            |s| {
                let mut client = s.guest_client();
                client.args(["--", "personal", "pair.Told+arg"]);
                client
            },
            "work arg\n",
        ),
        Kind::new(
            "to dom0: target as asked for",
            |s| s.guest_calls("dom0", "pair.Target"),
            "name dom0\n",
        ),
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
        Kind::new(
            "dom0: a socket's first line",
            |s| s.dom0_calls("pair.Line+arg"),
            "pair.Line+arg dom0\0",
        ),
        Kind::new(
            "guests: a socket's first line",
            |s| s.guest_calls("personal", "pair.Line+arg"),
            "pair.Line+arg work\0",
        ),
        Kind::new(
            "to dom0: a socket's first line",
            |s| s.guest_calls("dom0", "pair.Line+arg"),
            "pair.Line+arg work name dom0\0",
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

fn codes_dropped() -> Vec<Kind> {
    vec![Kind::new(
        "dom0: exit code not wanted",
        no_exit_code,
        "out\n",
    )]
}

fn prefix() -> Vec<Kind> {
    vec![Kind::new("dom0: prefix", dom0_prefix, "first second").input(b" second")]
}

fn guest_prefix() -> Vec<Kind> {
    vec![
        Kind::new(
            "guests: prefix",
            |s| guest_prefixed(s, "personal"),
            "first second",
        )
        .input(b" second"),
        Kind::new(
            "to dom0: prefix",
            |s| guest_prefixed(s, "dom0"),
            "first second",
        )
        .input(b" second"),
    ]
}

fn uuids() -> Vec<Kind> {
    vec![Kind::new("dom0: by UUID", by_uuid, "dom0 arg\n")]
}

fn no_exit_code(site: &Site) -> Command {
    let mut client = site.client();
    client.args(["-E", "-d", "personal"]);
    client.arg(format!("{}:QUBESRPC pair.Fail dom0", site.user()));
    client
}

fn dom0_prefix(site: &Site) -> Command {
    let mut client = site.client();
    client.args(["-p", "first", "-d", "personal"]);
    client.arg(format!("{}:QUBESRPC bench.Cat dom0", site.user()));
    client
}

fn guest_prefixed(site: &Site, target: &str) -> Command {
    let mut client = site.guest_client();
    client.args(["--prefix-data=first", target, "bench.Cat"]);
    client
}

fn by_uuid(site: &Site) -> Command {
    let mut client = site.client();
    client.args(["-d", &format!("uuid:{}", uuid(PERSONAL))]);
    client.arg(format!("{}:QUBESRPC pair.Told+arg dom0", site.user()));
    client
}

fn without_session(site: &Site) -> Command {
    site.dom0_says(&format!(
        "{}:nogui:QUBESRPC pair.Told+arg dom0",
        site.user()
    ))
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
