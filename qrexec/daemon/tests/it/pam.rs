// SPDX-License-Identifier: GPL-3.0-or-later
//! Services in PAM sessions: agents as root that see an `/etc` of their own, with PAM's real modules.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};

use crate::fixture::{Fixture, Outcome, finish, wait_ready};

/// Notes in the file `sessions` what is opened and closed.
const RECORD: &str = "echo \"$PAM_TYPE $PAM_USER as $PAM_SERVICE\" >>DIR/sessions";
/// Admits whom the account files admit, and sets variables.
const SESSIONS: &str = "auth required pam_permit.so
account required pam_unix.so
session required pam_env.so readenv=1 envfile=DIR/variables
session required pam_exec.so DIR/record
";
const OPENED: &str = "open_session guest as qrexec\n";
const CLOSED: &str = "close_session guest as qrexec\n";

/// Runs an agent that sees the folder's account files and PAM configuration as those of `/etc`. Whoever
/// is not root becomes root of ids of their own.
const INSIDE: &str = "dir=$1; shift; ulimit -Sn 700
    mount --bind \"$dir/pam.d\" /etc/pam.d || exit
    for file in passwd shadow group; do mount --bind \"$dir/$file\" \"/etc/$file\" || exit; done
    exec \"$@\"";

/// A domain `work` whose agent is root, with the user `guest`, whose account is good; PAM's configuration
/// for qrexec is the text, where `DIR` is the fixture's folder.
fn guest(configuration: Option<&str>) -> Arc<Fixture> {
    let fixture = Fixture::new();
    let dir = fixture.path().to_str().unwrap();
    let file = |name: &str, text: &str| {
        let path = fixture.path().join(name);
        fs::write(&path, text.replace("DIR", dir)).unwrap();
        path
    };
    // Another user has to find the services.
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    file(
        "passwd",
        "root:x:0:0::/root:/bin/sh\nguest:x:5000:5000::DIR/home:/bin/sh\n\
         late:x:5001:5001::/:/bin/sh\n",
    );
    file(
        "group",
        "root:x:0:\nguest:x:5000:\nmore:x:5002:guest\nlate:x:5001:\n",
    );
    // The day on which an account ends comes last but one.
    file(
        "shadow",
        "root:*:19000:0:99999:7:::\nguest:*:19000:0:99999:7:::\nlate:*:19000:0:99999:7::19001:\n",
    );
    file(
        "variables",
        "MARK=session\nPATH=/session:/usr/bin:/bin\nQREXEC_REMOTE_DOMAIN=liar\n",
    );
    let record = file("record", &format!("#!/bin/sh\n{RECORD}\n"));
    fs::set_permissions(record, fs::Permissions::from_mode(0o755)).unwrap();
    for folder in ["pam.d", "home"] {
        fs::create_dir(fixture.path().join(folder)).unwrap();
    }
    if let Some(text) = configuration {
        file("pam.d/qrexec", text);
    }
    let mut place = Command::new("unshare");
    place.arg("--mount");
    if !Uid::effective().is_root() {
        place.args(["--user", "--map-root-user", "--map-auto"]);
    }
    place.args(["sh", "-c", INSIDE, "sh", dir]);
    fixture.start_agent_inside(1, place);
    wait_ready(&fixture.start_daemon(1, "work"));
    fixture
}

fn told(fixture: &Fixture, user: &str, service: &str) -> Outcome {
    let mut call = fixture.dom0_calls_as(user, "work", &format!("QUBESRPC {service} dom0"));
    finish(&mut call, b"this\n")
}

fn sessions(fixture: &Fixture) -> String {
    fs::read_to_string(fixture.path().join("sessions")).unwrap_or_default()
}

/// What a service says about itself.
const TELL: &str = "read line; echo $(id -un) $(id -Gn) $MARK $PATH $QREXEC_REMOTE_DOMAIN $line $1
    echo $(ulimit -n) $PWD $HOME $USER; cat DIR/sessions; exit 7";

#[test]
fn a_service_runs_in_a_session_that_is_closed_after_it() {
    let fixture = guest(Some(SESSIONS));
    let dir = fixture.path().to_str().unwrap();
    fixture.service("test.Tell", &TELL.replace("DIR", dir));
    let outcome = told(&fixture, "guest", "test.Tell+a");
    let expected = format!(
        "guest guest more session /session:/usr/bin:/bin dom0 this a\n\
         700 {dir}/home {dir}/home guest\n{OPENED}"
    );
    assert_eq!(outcome.text(), expected, "{}", outcome.stderr);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(7), ""));
    assert_eq!(sessions(&fixture), format!("{OPENED}{CLOSED}"));
    let log = fixture.log("agent 1");
    assert!(
        log.contains("services run in PAM sessions, as /etc/pam.d/qrexec says"),
        "{log}"
    );
}

#[test]
fn a_shell_command_and_one_that_nobody_waits_for_have_a_session_too() {
    let fixture = guest(Some(SESSIONS));
    let mut shell = fixture.dom0_calls_as("guest", "work", "echo $MARK; kill -TERM $$");
    let outcome = finish(&mut shell, b"");
    assert_eq!((outcome.code, outcome.text()), (Some(143), "session\n"));
    assert_eq!(sessions(&fixture), format!("{OPENED}{CLOSED}"));

    let fifo = fixture.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let all = nix::sys::stat::Mode::from_bits_truncate(0o666);
    nix::sys::stat::fchmodat(
        nix::fcntl::AT_FDCWD,
        &fifo,
        all,
        nix::sys::stat::FchmodatFlags::FollowSymlink,
    )
    .unwrap();
    let command = format!("echo $MARK >{}", fifo.display());
    let mut call = fixture.dom0_calls_as("guest", "work", &command);
    let outcome = finish(call.arg("-e"), b"ignored");
    assert_eq!((outcome.code, outcome.text()), (Some(0), ""));
    assert_eq!(fs::read_to_string(fifo).unwrap(), "session\n");
}

#[test]
fn what_pam_refuses_does_not_run_and_the_log_says_for_whom_and_why() {
    let steps = ["auth", "account", "session"];
    for (denied, reason) in [
        (Some("auth"), "PAM refused the user: "),
        (Some("account"), "PAM refused the account: "),
        (Some("session"), "PAM refused the session: "),
        (None, "(ACCT_EXPIRED)"),
    ] {
        let module = |step: &str| match (denied, step) {
            (Some(denied), step) if denied == step => "pam_deny.so",
            (None, "account") => "pam_unix.so",
            _ => "pam_permit.so",
        };
        let lines = steps.map(|step| format!("{step} required {}\n", module(step)));
        let fixture = guest(Some(&lines.concat()));
        let ran = fixture.path().join("home");
        fs::set_permissions(&ran, fs::Permissions::from_mode(0o777)).unwrap();
        let ran = ran.join("ran");
        fixture.service("test.Run", &format!("echo out; touch {}", ran.display()));
        let outcome = told(&fixture, "late", "test.Run");
        assert_eq!((outcome.code, outcome.text()), (Some(125), ""), "{reason}");
        // Why is nothing for whoever asked.
        assert_eq!(outcome.stderr, "", "{reason}");
        assert!(!ran.exists(), "{reason}");
        let log = fixture.log("agent 1");
        let line = log.lines().find(|line| line.contains(reason));
        let line = line.unwrap_or_else(|| panic!("no line says {reason}: {log}"));
        let whole = format!(
            "{}/services/test.Run was not run as late: PAM",
            fixture.path().display()
        );
        assert!(line.contains(&whole), "{line}");
    }
}

#[test]
fn what_cannot_be_started_ends_as_it_does_without_a_session() {
    let fixture = guest(Some(SESSIONS));
    let path = fixture.path().join("services/test.Broken");
    fs::write(&path, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(told(&fixture, "guest", "test.Broken").code, Some(127));
    assert_eq!(sessions(&fixture), format!("{OPENED}{CLOSED}"));
    fixture.service("test.True", "exit 0");
    assert_eq!(told(&fixture, "nobody-here", "test.True").code, Some(125));
    assert_eq!(told(&fixture, "guest", "test.Missing").code, Some(127));
    assert_eq!(told(&fixture, "root", "test.True").code, Some(0));
}

#[test]
fn a_service_ends_its_streams_itself_though_its_session_goes_on() {
    let fixture = guest(Some(SESSIONS));
    fixture.service(
        "test.Before",
        "echo before; exec >&- 2>&-; read line; test \"$line\" = go && exit 5",
    );
    let mut call = fixture.dom0_calls_as("guest", "work", "QUBESRPC test.Before dom0");
    let mut call = call
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    let output = call.stdout.as_mut().unwrap();
    output.read_to_string(&mut text).unwrap();
    assert_eq!(text, "before\n");
    assert_eq!(sessions(&fixture), OPENED);
    call.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert_eq!(call.wait().unwrap().code(), Some(5));
    assert_eq!(sessions(&fixture), format!("{OPENED}{CLOSED}"));
}

#[test]
fn a_service_may_answer_on_its_input_in_a_session_too() {
    let fixture = guest(Some(SESSIONS));
    fixture.service(
        "test.Replaced",
        "exec >&0; read x; sleep 0.2; echo \"got $x\"; exit 7",
    );
    let outcome = told(&fixture, "guest", "test.Replaced");
    assert_eq!((outcome.code, outcome.text()), (Some(7), "got this\n"));
    // Only root may signal root's agent.
    fixture.service(
        "test.Closed",
        "kill -USR1 $QREXEC_AGENT_PID; exec >&-; read x; echo \"got $x\" >&0; exit 7",
    );
    let outcome = told(&fixture, "root", "test.Closed");
    assert_eq!((outcome.code, outcome.text()), (Some(7), "got this\n"));
}

#[test]
fn who_keeps_a_session_passes_on_that_it_is_to_end_and_closes_it() {
    let fixture = guest(Some(SESSIONS));
    fixture.service(
        "test.Wait",
        "trap 'echo asked; exit 9' TERM; echo $PPID; while :; do sleep 0.05; done",
    );
    let mut call = fixture.dom0_calls_as("guest", "work", "QUBESRPC test.Wait dom0");
    let mut call = call.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(call.stdout.take().unwrap()).lines();
    let keeper: i32 = lines.next().unwrap().unwrap().parse().unwrap();
    kill(Pid::from_raw(keeper), Signal::SIGTERM).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "asked");
    assert_eq!(call.wait().unwrap().code(), Some(9));
    assert_eq!(sessions(&fixture), format!("{OPENED}{CLOSED}"));
}

#[test]
fn a_guest_without_the_configuration_goes_on_as_before_and_says_so_once() {
    let fixture = guest(None);
    let dir = fixture.path().to_str().unwrap();
    fixture.service("test.Tell", &TELL.replace("cat DIR/sessions; ", ""));
    for _ in 0..2 {
        let outcome = told(&fixture, "guest", "test.Tell+a");
        let path = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";
        let expected =
            format!("guest guest more {path} dom0 this a\n700 {dir}/home {dir}/home guest\n");
        assert_eq!((outcome.code, outcome.text()), (Some(7), expected.as_str()));
    }
    let log = fixture.log("agent 1");
    let said = log.matches("services run without PAM sessions: there is no /etc/pam.d/qrexec");
    assert_eq!(said.count(), 1, "{log}");
}
