// SPDX-License-Identifier: GPL-3.0-or-later
//! A domain asks what policy would say to a call of others.

use std::io::Write as _;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use policyd::control::Request;
use policyd::evaluation::Service;
use policyd::{GrantRequest, Status};

use crate::fixture::{Machine, PATIENCE, read};

const POLICY: &str = "\
test.Allowed  *  work  vault     allow
test.Asked    *  work  vault     ask
test.Asked    *  work  personal  deny
";

const SYSTEM: &str = r#"{"domains": {
    "dom0": {"type": "AdminVM", "power_state": "Running"},
    "sys-gui": {"type": "AppVM", "power_state": "Running"},
    "work": {"type": "AppVM", "power_state": "Running", "guivm": "sys-gui", "tags": ["guivm-sys-gui"]},
    "vault": {"type": "AppVM", "power_state": "Running", "guivm": "sys-gui", "tags": ["guivm-sys-gui"]},
    "personal": {"type": "AppVM", "power_state": "Running", "guivm": "dom0"}
}}"#;

fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.install("30-user.policy", POLICY);
    machine.start();
    machine.manager_answers(SYSTEM);
    machine
}

/// What `sys-gui` is answered, called as qrexec calls a socket service in dom0.
fn evaluate(machine: &Machine, service: Service, about: &str, names: &str) -> String {
    let name = service.name();
    let socket = machine.layout().policy_evaluation_socket(name);
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("{name}+{about} sys-gui name dom0\0{names}");
    stream.write_all(request.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    read(stream)
}

#[test]
fn policy_says_what_it_would_say_and_writes_nothing_down() {
    let machine = machine();
    let simple = |about: &str, names: &str| evaluate(&machine, Service::Simple, about, names);
    assert_eq!(simple("test.Allowed", "work\0vault"), "result=allow\n");
    assert_eq!(simple("test.Allowed+x", "work\0vault"), "result=allow\n");
    assert_eq!(simple("test.Allowed", "vault\0work"), "result=deny\n");
    // Who would be asked might agree.
    assert_eq!(simple("test.Asked", "work\0vault"), "result=allow\n");
    assert_eq!(simple("test.Asked", "work\0personal"), "result=deny\n");
    assert_eq!(simple("test.Other", "work\0@dispvm"), "result=deny\n");
    assert_eq!(simple("test.Other", "gone\0vault"), "result=deny\n");
    // A permission with an end counts while it lasts.
    machine.control(&Request::Grant(GrantRequest {
        source: "work".into(),
        target: "personal".into(),
        service: "test.Asked".into(),
        seconds: Some(600),
        uses: Some(1),
        while_running: false,
    }));
    for _ in 0..3 {
        assert_eq!(simple("test.Asked", "work\0personal"), "result=allow\n");
    }
    assert_eq!(machine.records(), []);
    let Status {
        allowed, denied, ..
    } = machine.status();
    assert_eq!((allowed, denied), (0, 0));
}

#[test]
fn a_screen_asks_about_what_it_shows_and_about_nothing_else() {
    let machine = machine();
    let gui = |names: &str| evaluate(&machine, Service::Gui, "test.Allowed", names);
    assert_eq!(gui("work\0vault"), "result=allow\n");
    assert_eq!(gui("vault\0work"), "result=deny\n");
    for names in [
        "work\0personal",
        "personal\0work",
        "work\0@dispvm",
        "work\0gone",
        "work\0",
        "work",
    ] {
        assert_eq!(gui(names), "", "{names}");
    }
    assert_eq!(evaluate(&machine, Service::Gui, "", "work\0vault"), "");
}
