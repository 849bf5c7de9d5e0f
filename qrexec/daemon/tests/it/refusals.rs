// SPDX-License-Identifier: GPL-3.0-or-later
//! Calls that come to nothing, and how that is said.

use std::fs::File;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::fixture::{Fixture, allow, finish, user, wait_ready};

#[test]
fn a_refused_caller_learns_that_and_nothing_of_the_policy() {
    let fixture = Fixture::without_policy();
    fixture.policy(Box::new(|_| {
        "result=deny\nreason=no rule allows it\nrule=30-user.policy:3\n".into()
    }));
    fixture.domain(1, "untrusted");
    let outcome = finish(&mut fixture.domain_calls(1, "work", "qubes.Filecopy"), b"");
    assert_eq!((outcome.code, outcome.text()), (Some(126), ""));
    assert_eq!(outcome.stderr, "Request refused\n");
    let log = fixture.log("daemon 1");
    assert!(
        log.contains("qubes.Filecopy to work: denied: no rule allows it (30-user.policy:3)"),
        "{log}"
    );
}

#[test]
fn no_policy_daemon_means_refused() {
    let fixture = Fixture::without_policy();
    fixture.domain(1, "work");
    fixture.service("test.True", "true");
    assert_eq!(
        finish(&mut fixture.domain_calls(1, "dom0", "test.True"), b"").code,
        Some(126)
    );
    fixture.policy(Box::new(|_| "what?".into()));
    assert_eq!(
        finish(&mut fixture.domain_calls(1, "dom0", "test.True"), b"").code,
        Some(126)
    );
    fixture.policy(Box::new(|_| String::new()));
    assert_eq!(
        finish(&mut fixture.domain_calls(1, "dom0", "test.True"), b"").code,
        Some(126)
    );
    fixture.policy(Box::new(allow));
    assert_eq!(
        finish(&mut fixture.domain_calls(1, "dom0", "test.True"), b"").code,
        Some(0)
    );
}

#[test]
fn a_missing_service_has_its_own_code() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.domain(2, "personal");
    fixture.service("test.Interpreter", "");
    std::fs::write(
        fixture.path().join("services/test.Interpreter"),
        "#!/no/such/shell\n",
    )
    .unwrap();
    for mut command in [
        fixture.domain_calls(1, "personal", "test.None"),
        fixture.domain_calls(1, "dom0", "test.None"),
        fixture.dom0_calls("work", "QUBESRPC test.None dom0"),
        fixture.dom0_calls("work", "QUBESRPC test.Interpreter dom0"),
    ] {
        assert_eq!(finish(&mut command, b"").code, Some(127));
    }
}

#[test]
fn a_domain_that_is_not_there_is_refused() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    assert_eq!(
        finish(&mut fixture.domain_calls(1, "nobody", "test.True"), b"").code,
        Some(126)
    );
    let outcome = finish(&mut fixture.dom0_calls("nobody", "true"), b"");
    assert_eq!(outcome.code, Some(125));
    assert!(
        outcome
            .stderr
            .starts_with("error: cannot call nobody: is it running?\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn arguments_of_every_size_leave_both_daemons_alive() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.domain(2, "personal");
    fixture.service("test.Size", r"printf %s ${#1}");
    let longest = 65_000 - "test.Size+".len();
    let sizes = [
        0, 1, 63, 255, 3000, 3900, 4050, 4096, 4200, 5000, 20_000, 64_000, longest,
    ];
    for size in sizes {
        let service = format!("test.Size+{}", "a".repeat(size));
        let from_dom0 = format!("QUBESRPC {service} dom0");
        let calls = [
            (fixture.domain_calls(1, "personal", &service), 126),
            (fixture.domain_calls(2, "work", &service), 126),
            (fixture.domain_calls(1, "dom0", &service), 126),
            (fixture.dom0_calls("personal", &from_dom0), 125),
        ];
        for (mut call, refused) in calls {
            let outcome = finish(&mut call, b"");
            // What an old agent's control channel could not hold is refused.
            match outcome.code {
                Some(0) => assert_eq!(outcome.text(), size.to_string()),
                code => assert!(code == Some(refused) && size > 3800, "{size}: {outcome:?}"),
            }
        }
        for (caller, target) in [(1, "personal"), (2, "work")] {
            let mut next = fixture.domain_calls(caller, target, "test.Size+abc");
            let outcome = finish(&mut next, b"");
            assert_eq!((outcome.code, outcome.text()), (Some(0), "3"), "{size}");
        }
    }
}

#[test]
fn what_cannot_be_said_does_not_change_the_exit_code() {
    let fixture = Fixture::without_policy();
    fixture.policy(Box::new(|_| "result=deny\n".into()));
    fixture.domain(1, "work");
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let mut cases = [
        (fixture.domain_calls(1, "nobody", "test.True"), 126),
        (fixture.domain_calls(1, "nobody", "no service"), 125),
        (fixture.dom0_calls("nobody", "true"), 125),
        (fixture.command("qrexec-client", 0), 125),
        (fixture.command("qrexec-agent", 0), 1),
    ];
    // The agent's socket cannot be made.
    cases[4].0.args(["-a", "/dev/null/socket"]);
    for (command, code) in &mut cases {
        let status = command.stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(*code), "{command:?}");
    }
    for program in ["qrexec-client", "qrexec-client-vm"] {
        let mut help = fixture.command(program, 0);
        let status = help.arg("--help").stdout(full()).status().unwrap();
        assert_eq!(status.code(), Some(0), "{program}");
    }
}

#[test]
fn any_number_of_seconds_can_be_waited() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    for seconds in [0, u64::MAX] {
        let mut call = fixture.dom0_calls("work", "exit 3");
        let outcome = finish(call.args(["-w", &seconds.to_string()]), b"");
        assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    }
    let mut daemon = fixture.command("qrexec-daemon", 0);
    daemon
        .args(["--direct", "--uuid=c0ffee00-1234-4abc-8def-000000000002"])
        .args(["2", "personal", &user()])
        .env("QREXEC_STARTUP_TIMEOUT", u64::MAX.to_string());
    let notify = fixture.path().join("notify");
    let ready = UnixDatagram::bind(&notify).unwrap();
    ready
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    fixture.start_agent(2);
    let mut daemon = daemon.env("NOTIFY_SOCKET", &notify).spawn().unwrap();
    wait_ready(&ready);
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

#[test]
fn an_agent_without_rights_runs_nothing_for_others() {
    if nix::unistd::Uid::effective().is_root() {
        return;
    }
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    let mut command = fixture.dom0_calls("work", "true");
    let outcome = finish(command.args(["-d", "work", "nobody:true"]), b"");
    assert_eq!(outcome.code, Some(125));
}

#[test]
fn a_pipe_as_configuration_fails_the_call_and_holds_up_nobody() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("test.True", "true");
    fixture.configure("test.True", "");
    let file = fixture.path().join("config/test.True");
    std::fs::remove_file(&file).unwrap();
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut call = fixture.dom0_calls("work", "QUBESRPC test.True dom0");
    assert_eq!(finish(&mut call, b"").code, Some(125));
    let log = fixture.log("agent 1");
    let told = format!("the configuration {} is no file", file.display());
    assert!(log.contains(&told), "{log}");
}

#[test]
fn a_user_who_is_not_there_is_named_in_the_agents_log() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("test.True", "true");
    let mut call = fixture.dom0_calls_as("no-such", "work", "QUBESRPC test.True+a dom0");
    let outcome = finish(&mut call, b"");
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(125), ""));
    let log = fixture.log("agent 1");
    let line = log.lines().find(|line| line.contains("no-such"));
    let line = line.expect("it is told");
    assert!(line.contains("cannot start test.True+a: "), "{line}");
}
