// SPDX-License-Identifier: GPL-3.0-or-later
//! Calls that policy allows.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::fixture::{Fixture, finish};

const TELL: &str =
    r#"read line; echo "$1 of $QREXEC_REMOTE_DOMAIN: $line"; echo trouble >&2; exit 7"#;

#[test]
fn dom0_calls_a_domain() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("test.Tell", TELL);
    let outcome = finish(
        &mut fixture.dom0_calls("work", "QUBESRPC test.Tell+arg dom0"),
        b"hello\n",
    );
    assert_eq!(
        (outcome.code, outcome.text()),
        (Some(7), "arg of dom0: hello\n")
    );
    assert_eq!(outcome.stderr, "trouble\n");
    let shell = finish(
        &mut fixture.dom0_calls("work", "echo $((6 * 7)); kill -9 $$"),
        b"",
    );
    assert_eq!((shell.code, shell.text()), (Some(137), "42\n"));
}

#[test]
fn a_domain_calls_another_and_the_data_does_not_pass_dom0() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.domain(2, "personal");
    fixture.service("test.Tell", TELL);
    let outcome = finish(
        &mut fixture.domain_calls(1, "personal", "test.Tell+a"),
        b"hello\n",
    );
    assert_eq!(
        (outcome.code, outcome.text()),
        (Some(7), "a of work: hello\n")
    );
    assert_eq!(outcome.stderr, "trouble\n");
    let back = finish(
        &mut fixture.domain_calls(2, "work", "test.Tell"),
        b"hello\n",
    );
    assert_eq!((back.code, back.text()), (Some(7), " of personal: hello\n"));
}

#[test]
fn a_domain_calls_dom0_and_hears_nothing_of_its_errors() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("test.Tell", TELL);
    // The daemon has one for itself.
    fixture.service("test.Env", r#"echo "${NOTIFY_SOCKET-}$QREXEC_SERVICE_FULL_NAME $QREXEC_REQUESTED_TARGET_TYPE $QREXEC_REQUESTED_TARGET_KEYWORD""#);
    let outcome = finish(
        &mut fixture.domain_calls(1, "dom0", "test.Tell+a"),
        b"hello\n",
    );
    assert_eq!(
        (outcome.code, outcome.text(), outcome.stderr.as_str()),
        (Some(7), "a of work: hello\n", "")
    );
    let environment = finish(&mut fixture.domain_calls(1, "@adminvm", "test.Env"), b"");
    assert_eq!(environment.text(), "test.Env+ keyword adminvm\n");
}

#[test]
fn what_a_service_of_dom0_complains_about_cannot_disturb_the_daemons_log() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    // What it leaves behind is heard too.
    fixture.service(
        "test.Shout",
        r#"printf '\033[2J%s\nforged line' "$1" >&2; { read line; echo late >&2; } <&0 >/dev/null &
        echo done"#,
    );
    let outcome = finish(&mut fixture.domain_calls(1, "dom0", "test.Shout+word"), b"");
    let told = (outcome.code, outcome.text(), outcome.stderr.as_str());
    assert_eq!(told, (Some(0), "done\n", ""));
    let begun = Instant::now();
    while !fixture
        .log("daemon 1")
        .contains("test.Shout+word-work: forged linelate\n")
    {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    let log = fixture.log("daemon 1");
    assert!(log.contains(r"test.Shout+word-work: \x1b[2Jword"), "{log}");
    assert!(!log.contains('\x1b'), "{log}");
}

#[test]
fn ten_megabytes_go_both_ways_intact() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.domain(2, "personal");
    fixture.service("test.Cat", "exec cat");
    let data: Vec<u8> = (0..10_000_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for mut command in [
        fixture.domain_calls(1, "personal", "test.Cat"),
        fixture.dom0_calls("work", "QUBESRPC test.Cat dom0"),
        fixture.domain_calls(1, "dom0", "test.Cat"),
    ] {
        let outcome = finish(&mut command, &data);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert!(
            outcome.stdout == data,
            "{} bytes came back",
            outcome.stdout.len()
        );
    }
}

#[test]
fn each_direction_ends_by_itself() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("test.After", "cat >/dev/null; echo after the end");
    fixture.service(
        "test.Before",
        "echo before; exec >&- 2>&-; read line; test \"$line\" = go && exit 5",
    );
    let after = finish(
        &mut fixture.dom0_calls("work", "QUBESRPC test.After dom0"),
        b"data",
    );
    assert_eq!((after.code, after.text()), (Some(0), "after the end\n"));

    let mut command = fixture.dom0_calls("work", "QUBESRPC test.Before dom0");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    // The output ends while the call goes on.
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "before\n");
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

#[test]
fn a_service_that_does_not_read_does_not_hold_up_the_call() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("test.Deaf", "exit 3");
    let outcome = finish(
        &mut fixture.dom0_calls("work", "QUBESRPC test.Deaf dom0"),
        &vec![0; 5_000_000],
    );
    assert_eq!(outcome.code, Some(3));
}

#[test]
fn just_exec_starts_and_does_not_attach() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    let fifo = fixture.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut command = fixture.dom0_calls("work", &format!("echo started > {}", fifo.display()));
    let outcome = finish(command.arg("-e"), b"ignored");
    assert_eq!((outcome.code, outcome.text()), (Some(0), ""));
    assert_eq!(fs::read_to_string(fifo).unwrap(), "started\n");
}

#[test]
fn prefix_data_comes_first_even_when_nothing_follows() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("test.Line", "read line; echo \"$line\"");
    let mut command = fixture.dom0_calls("work", "QUBESRPC test.Line dom0");
    let mut child = command
        .args(["-p", "prefix\n"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take();
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(
        (text.as_str(), child.wait().unwrap().code()),
        ("prefix\n", Some(0))
    );
    drop(stdin);
}

#[test]
fn what_a_domain_writes_is_made_harmless_when_asked() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("test.Evil", r"printf '\033]0;title\007ok\n'");
    let mut command = fixture.dom0_calls("work", "QUBESRPC test.Evil dom0");
    assert_eq!(finish(command.arg("-t"), b"").text(), "_]0;title\x07ok\n");
}

/// Runs a command with a terminal for its streams; what came to the terminal.
fn on_a_terminal(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &words.join(" "), "/dev/null"]);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => terminal.env(name, value),
            None => terminal.env_remove(name),
        };
    }
    finish(&mut terminal, b"").text().replace('\r', "")
}

#[test]
fn what_a_domain_writes_on_a_terminal_is_made_harmless_unless_told_otherwise() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.domain(2, "personal");
    let evil = r"printf '\033]0;title\007out\n'; printf '\033[2Jerr\n' >&2";
    fixture.service("test.Evil", evil);
    let calls = [
        fixture.dom0_calls("work", "QUBESRPC test.Evil dom0"),
        fixture.domain_calls(2, "work", "test.Evil"),
    ];
    for call in &calls {
        let shown = on_a_terminal(call);
        assert!(shown.contains("_]0;title\x07out\n"), "{shown:?}");
        assert!(shown.contains("_[2Jerr\n"), "{shown:?}");
        assert!(!shown.contains('\x1b'), "{shown:?}");
    }
    let mut call = fixture.dom0_calls("work", "QUBESRPC test.Evil dom0");
    let shown = on_a_terminal(call.arg("--no-filter"));
    assert!(
        shown.contains("\x1b]0;title") && shown.contains("\x1b[2J"),
        "{shown:?}"
    );
}

#[test]
fn a_person_whose_call_is_not_made_is_told_why_in_a_few_words() {
    let fixture = Fixture::new();
    fixture.policy(Box::new(|_| "result=deny\n".into()));
    fixture.domain(1, "work");
    let long = format!("test.Long+{}", "a".repeat(64_990));
    let shown = ["test.Echo+x", &long]
        .map(|service| on_a_terminal(&fixture.domain_calls(1, "personal", service)));
    let expected = [
        "Request refused\n\
         error: the call of test.Echo+x in personal was refused: policy forbids it, or dom0 could not make \
         it; dom0's log says which\n"
            .to_owned(),
        format!(
            "Request refused\n\
             error: the call of test.Long+{}… in personal was not made: service and argument have 65000 \
             bytes, and 64999 may be sent\n",
            "a".repeat(110)
        ),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn a_local_program_talks_with_the_service() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.domain(2, "personal");
    fixture.service("test.Upper", "read line; echo \"$line\" | tr a-z A-Z");
    let mut command = fixture.domain_calls(1, "personal", "test.Upper");
    let outcome = finish(
        command.args(["sh", "-c", "echo hello; cat >&2; exit 4"]),
        b"",
    );
    assert_eq!(
        (outcome.code, outcome.stderr.as_str()),
        (Some(4), "HELLO\n")
    );
}

#[test]
fn a_local_program_of_dom0_is_a_command_for_bash() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("test.Hello", "echo hello");
    let mut command = fixture.dom0_calls("work", "QUBESRPC test.Hello dom0");
    let program = "read -r -t 20; [[ $REPLY == h* ]] && exit 5";
    let outcome = finish(command.args(["-l", program]), b"");
    assert_eq!(outcome.code, Some(5), "{}", outcome.stderr);
}

#[test]
fn fifty_calls_at_one_time_all_come_back() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.domain(2, "personal");
    fixture.service("test.Cat", "exec cat");
    std::thread::scope(|scope| {
        for i in 0..50 {
            let fixture = &fixture;
            scope.spawn(move || {
                let text = format!("call {i}\n");
                let outcome = finish(
                    &mut fixture.domain_calls(1, "personal", "test.Cat"),
                    text.as_bytes(),
                );
                assert_eq!(
                    (outcome.code, outcome.text()),
                    (Some(0), text.as_str()),
                    "{}",
                    outcome.stderr
                );
            });
        }
    });
}
