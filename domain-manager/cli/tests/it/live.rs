// SPDX-License-Identifier: GPL-3.0-or-later
//! The policy that decides on this machine: with a real policy daemon, and a domain manager that
//! the test plays.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bulkhead_types::Layout;

use crate::fixture::Fixture;

const SYSTEM: &str = r#"{"domains":{
    "dom0":{"type":"AdminVM","power_state":"Running"},
    "work":{"type":"AppVM","power_state":"Running"},
    "vault":{"type":"AppVM","power_state":"Running"}}}"#;

const PATIENCE: Duration = Duration::from_secs(30);

/// An installation with a policy daemon, which ends with it.
pub struct Live {
    pub fixture: Fixture,
    daemon: Child,
    /// What it tells the service manager.
    notifications: Mutex<Receiver<String>>,
}

impl Live {
    pub fn start(policy: &str) -> Self {
        let fixture = Fixture::alone();
        fixture.write("etc/bulkhead/policy.d/30-user.policy", policy);
        let layout = Layout::below(fixture.path(""));
        fs::create_dir_all(layout.runtime()).unwrap();
        let manager = UnixListener::bind(layout.internal_socket()).unwrap();
        std::thread::spawn(move || {
            let mut watches = Vec::new();
            while let Ok((mut stream, _)) = manager.accept() {
                let mut request = Vec::new();
                BufReader::new(&stream).read_until(0, &mut request).unwrap();
                let line = format!("0\0{}\n", SYSTEM.replace('\n', " "));
                let _ = stream.write_all(line.as_bytes());
                if request.starts_with(b"internal.WatchSystemInfo") {
                    watches.push(stream);
                }
            }
        });
        let notifications = read_all(UnixDatagram::bind(fixture.path("notify")).unwrap());
        let daemon = spawn(&fixture);
        let live = Self {
            fixture,
            daemon,
            notifications,
        };
        live.is_ready();
        live
    }

    /// Ends the daemon at once.
    fn stop(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
        let notifications = self.notifications.get_mut().unwrap();
        while notifications.try_recv().is_ok() {}
    }

    fn start_again(&mut self) {
        self.daemon = spawn(&self.fixture);
        self.is_ready();
    }

    fn is_ready(&self) {
        let (mut ready, mut domains) = (false, false);
        while !(ready && domains) {
            let said = self.said();
            ready |= said.contains("READY=1");
            domains |= said.contains("3 domains");
        }
    }

    fn said(&self) -> String {
        let notifications = self.notifications.lock().unwrap();
        notifications.recv_timeout(PATIENCE).unwrap()
    }

    /// Asks as a qrexec daemon does.
    pub fn ask(&self, source: &str, target: &str, service: &str) -> String {
        let question =
            format!("source={source}\nintended_target={target}\nservice_and_arg={service}\n\n");
        self.tell(&question)
    }

    /// Tells what a qrexec daemon tells; what is answered.
    fn tell(&self, text: &str) -> String {
        let socket = Layout::below(self.fixture.path("")).policy_socket();
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The line on which a domain's qrexec daemon tells of its calls; it counts them as under way.
    fn reporter(&self, source: &str) -> UnixStream {
        let socket = Layout::below(self.fixture.path("")).policy_calls_socket();
        let mut line = UnixStream::connect(socket).unwrap();
        writeln!(line, "source {source}").unwrap();
        line
    }

    #[must_use = "either snapshot the output or assert on it"]
    pub fn run(&self, words: &[&str]) -> String {
        self.fixture.run(&[&["policy"], words].concat())
    }

    /// A policy verb that has not begun yet.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead"));
        command.arg("policy").args(words);
        command.env(Layout::ROOT_VARIABLE, self.fixture.path(""));
        command
    }
}

/// Reads as a service manager does, at once.
fn read_all(socket: UnixDatagram) -> Mutex<Receiver<String>> {
    let (tell, said) = channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 1024];
        while let Ok(n) = socket.recv(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
            if tell.send(text).is_err() {
                break;
            }
        }
    });
    Mutex::new(said)
}

fn spawn(fixture: &Fixture) -> Child {
    let program = Path::new(env!("CARGO_BIN_EXE_bulkhead")).with_file_name("policyd");
    assert!(
        program.exists(),
        "{} is missing; run: cargo build --workspace --bins",
        program.display()
    );
    Command::new(program)
        .env(Layout::ROOT_VARIABLE, fixture.path(""))
        .env("NOTIFY_SOCKET", fixture.path("notify"))
        .stderr(fs::File::create(fixture.path("policyd.log")).unwrap())
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

const DENY: &str = "qubes.Gpg * work vault deny\nqubes.Date * work vault allow\n";

#[test]
fn a_call_is_allowed_for_a_while_and_the_ledger_says_so() {
    let live = Live::start(DENY);
    assert!(
        live.ask("work", "vault", "qubes.Gpg")
            .contains("result=deny")
    );
    let granted = live.run(&[
        "grant",
        "work",
        "vault",
        "qubes.Gpg",
        "--for",
        "10m",
        "--uses",
        "3",
    ]);
    let granted = granted.replace("by root", "by USER");
    let by = granted.rfind("by ").map(|at| &granted[..at]);
    assert!(
        by.is_some_and(|text| text.starts_with("Granted: 1  work -> vault qubes.Gpg; ends in ")),
        "{granted}"
    );
    assert!(
        live.ask("work", "vault", "qubes.Gpg")
            .contains("result=allow")
    );
    let grants = live.run(&["grants"]);
    assert!(
        grants.contains("uses left: 2; calls under way: 1"),
        "{grants}"
    );
    let json: serde_json::Value = serde_json::from_str(&live.run(&["grants", "--json"])).unwrap();
    assert_eq!(json[0]["uses"], 2);
    assert_eq!(json[0]["kind"], "grant");
    let keys: Vec<&String> = json[0].as_object().unwrap().keys().collect();
    assert_eq!(
        format!("{keys:?}"),
        r#"["by", "calls", "id", "kind", "left", "seconds", "service", "since", "source", "target", "until_ms", "uses", "while_running"]"#
    );
    let explained = live.run(&["explain", "work", "vault", "qubes.Gpg"]);
    assert!(
        explained.starts_with("deny") && explained.contains("\n  grant     1  work -> vault"),
        "{explained}"
    );
    insta::assert_snapshot!(live.run(&["revoke", "1"]), @"1 grant has ended; calls that have to end: 1.");
    assert!(
        live.ask("work", "vault", "qubes.Gpg")
            .contains("result=deny")
    );
    insta::assert_snapshot!(live.run(&["revoke", "1"]), @r"
    ! error: there is no grant 1
    ! hint: `bulkhead policy grants` lists them
    [exit code 1]
    ");
    insta::assert_snapshot!(live.run(&["grants"]), @"There are no grants.");
    insta::assert_snapshot!(live.run(&["grant", "work", "vault", "qubes.Gpg"]), @r"
    ! error: a grant needs an end
    ! hint: give --for TIME, --uses NUMBER or --while-running; a rule in a policy file has none
    [exit code 2]
    ");
    let audit = live.run(&["audit", "event=decision"]);
    let verdicts: Vec<_> = audit
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3))
        .collect();
    assert_eq!(verdicts, ["deny", "allow", "deny"]);
    assert!(audit.contains("rule grant 1:1; grant 1"), "{audit}");
    let verified = live.run(&["audit", "verify"]);
    assert!(
        verified.starts_with("The ledger is as it was written"),
        "{verified}"
    );
}

#[test]
fn who_made_which_policy_live_is_in_the_ledger() {
    let mut live = Live::start(DENY);
    let first = live.run(&["apply", "-m", "as it was"]);
    let rule = "qubes.Gpg * work vault ask";
    let second = live.run(&["add", rule, "-m", "for \u{1b}[2J mail"]);
    let sha256 = |told: &str| {
        let (_, sha256) = told.rsplit_once("SHA-256: ").unwrap();
        sha256.trim_end_matches(".\n").to_owned()
    };
    let (first, second) = (sha256(&first), sha256(&second));
    assert!(live.run(&["rollback"]).starts_with("Generation 1 is live"));
    // Without a name in the environment it is the user's number, or root.
    let author = live.run(&["log"]);
    let author = author
        .lines()
        .next()
        .unwrap()
        .split("  ")
        .nth(2)
        .unwrap()
        .to_owned();
    let acts = live.run(&["audit", "event=act"]);
    let acts: Vec<_> = acts.lines().collect();
    for (act, what, generation) in [
        (
            acts[0],
            &format!("apply by {author}: generation 1 at "),
            &first,
        ),
        (
            acts[1],
            &format!("apply by {author}: generation 2 at "),
            &second,
        ),
        (
            acts[2],
            &format!("rollback by {author}: generation 1 at "),
            &first,
        ),
    ] {
        assert!(
            act.contains(&**what) && act.contains(&**generation),
            "{act}"
        );
    }
    assert!(acts[1].ends_with(": for \\u{1b}[2J mail"), "{}", acts[1]);
    // What was done while the daemon was away, it finds when it comes back.
    live.stop();
    let _ = live.run(&["apply", "-m", "unseen"]);
    live.start_again();
    let last = live.run(&["audit", "event=act", "what=live"]);
    assert!(last.contains("live by policyd: generation 3 at "), "{last}");
    assert!(
        last.ends_with(&format!(": unseen, apply by {author}\n")),
        "{last}"
    );
}

#[test]
fn a_quota_is_set_seen_and_removed() {
    let live = Live::start(DENY);
    insta::assert_snapshot!(live.run(&["quota"]), @r"
    SOURCE  SERVICE  CALLS TO         A MINUTE  BURST  UNDER WAY
    *       *        new disposables  60        30     20
    *       *        any target       -         -      1024
    ");
    // What is used up comes back before anybody can look, so that no clock decides what is seen.
    let quota = [
        "--per-minute",
        "4000000000",
        "--burst",
        "7",
        "--at-once",
        "2",
    ];
    let set = ["quota", "set", "work", "qubes.Date"];
    insta::assert_snapshot!(live.run(&[&set[..], &quota].concat()), @"The quota holds from now on.");
    let mut under_way = live.reporter("work");
    for _ in 0..2 {
        let answer = live.ask("work", "vault", "qubes.Date");
        let call = answer.lines().find_map(|line| line.strip_prefix("record="));
        writeln!(under_way, "open {}", call.expect(&answer)).unwrap();
    }
    let answer = live.ask("work", "vault", "qubes.Date");
    assert!(answer.contains("refusal=quota"), "{answer}");
    insta::assert_snapshot!(live.run(&["quota", "show"]), @r"
    SOURCE  SERVICE     CALLS TO         A MINUTE    BURST  UNDER WAY
    work    qubes.Date  any target       4000000000  7      2
    *       *           new disposables  60          30     20
    *       *           any target       -           -      1024

    DOMAIN  QUOTA            UNDER WAY  LEFT NOW  REFUSED
    work    work qubes.Date  2          7         1
    ");
    insta::assert_snapshot!(live.run(&["quota", "remove", "work", "qubes.Date"]), @"The quota holds no more.");
    assert!(
        live.ask("work", "vault", "qubes.Date")
            .contains("result=allow")
    );
    insta::assert_snapshot!(live.run(&["quota", "remove", "work", "qubes.Date"]), @r"
    ! error: no quota is set for `work qubes.Date`
    ! hint: `bulkhead policy quota` shows them; the last two always hold
    [exit code 1]
    ");
    insta::assert_snapshot!(live.run(&["quota", "set", "work", "a+b", "--at-once", "2"]), @r"
    ! error: `a+b` is no service without an argument, and not *
    [exit code 2]
    ");
}

#[test]
fn a_quota_that_counts_nothing_is_told_or_refused() {
    let live = Live::start(DENY);
    insta::assert_snapshot!(live.run(&["quota", "set", "work", "qubes.Date"]), @r"
    ! error: a quota needs a limit
    ! hint: give --per-minute NUMBER, --at-once NUMBER or both
    [exit code 2]
    ");
    insta::assert_snapshot!(live.run(&["quota", "set", "dom0", "*", "--at-once", "1"]), @r"
    ! error: calls of dom0 are not counted
    [exit code 2]
    ");
    insta::assert_snapshot!(live.run(&["quota", "set", "wrok", "qubes.Dat", "--at-once", "1"]), @r"
    The quota holds from now on.
    ! warning: there is no domain `wrok`. Did you mean `work`?
    ! warning: no rule names the service `qubes.Dat`. Did you mean `qubes.Date`?
    ");
    insta::assert_snapshot!(live.run(&["quota", "remove", "wrok", "qubes.Dat", "--json"]), @r#"
    {
      "holds": true,
      "removed": "wrok qubes.Dat"
    }
    "#);
    live.fixture
        .write("etc/bulkhead/quotas.toml", "quota = 1\n");
    let told = live.run(&["quota"]);
    assert!(
        told.starts_with("SOURCE ") && told.contains("! warning: what was set before holds: "),
        "{told}"
    );
    live.fixture.write("etc/bulkhead/quotas.toml", "");
    // What is about less has to come first, or it would never count.
    let _ = live.run(&["quota", "set", "*", "*", "--at-once", "9"]);
    let _ = live.run(&["quota", "set", "work", "qubes.Date", "--at-once", "1"]);
    insta::assert_snapshot!(live.run(&["quota"]), @r"
    SOURCE  SERVICE     CALLS TO         A MINUTE  BURST  UNDER WAY
    work    qubes.Date  any target       -         -      1
    *       *           any target       -         -      9
    *       *           new disposables  60        30     20
    *       *           any target       -         -      1024
    ");
}

#[test]
fn a_trace_of_calls_shows_their_ends() {
    let live = Live::start(DENY);
    std::thread::scope(|scope| {
        let trace = scope.spawn(|| live.run(&["trace", "source=work", "--count", "2"]));
        while !trace.is_finished() {
            let answer = live.ask("work", "vault", "qubes.Date");
            let call = answer.lines().find_map(|line| line.strip_prefix("record="));
            let call = call.expect(&answer);
            let end = "policy_us=60\nend_us=3000\nhow=exit code 0";
            live.tell(&format!("record={call}\nsource=work\n{end}\n\n"));
        }
        let told = trace.join().unwrap();
        let (allowed, ended) = told.split_once('\n').unwrap();
        assert!(
            allowed.contains("  allow work -> vault qubes.Date"),
            "{told}"
        );
        assert!(
            ended.contains("  end   of ") && ended.contains("exit code 0"),
            "{told}"
        );
    });
}

#[test]
fn of_many_who_set_quotas_at_once_none_undoes_another() {
    let live = Live::start(DENY);
    std::thread::scope(|scope| {
        for n in 0..6 {
            let live = &live;
            scope.spawn(move || {
                let service = format!("quota.Number{n}");
                let told = live.run(&["quota", "set", "work", &service, "--at-once", "1"]);
                assert!(told.starts_with("The quota holds from now on."), "{told}");
            });
        }
    });
    assert_eq!(live.run(&["quota"]).matches("quota.Number").count(), 6);
}

#[test]
fn a_trace_ends_when_nobody_reads_it() {
    let live = Live::start(DENY);
    let mut trace = live.command(&["trace", "verdict=deny"]);
    let mut trace = trace.stdout(Stdio::piped()).spawn().unwrap();
    let mut read = BufReader::new(trace.stdout.take().unwrap());
    let mut line = String::new();
    std::thread::scope(|scope| {
        let read = scope.spawn(|| read.read_line(&mut line).unwrap());
        while !read.is_finished() {
            live.ask("work", "vault", "qubes.Gpg");
        }
    });
    drop(read);
    while trace.try_wait().unwrap().is_none() {
        live.ask("work", "vault", "qubes.Gpg");
    }
    assert!(trace.wait().unwrap().success());
}

#[test]
fn explain_knows_the_grant_and_how_to_give_it() {
    let live = Live::start(DENY);
    let explained = live.run(&["explain", "work", "vault", "qubes.Gpg"]);
    let command = "bulkhead policy grant work vault qubes.Gpg --for 10m";
    assert!(
        explained.ends_with(&format!("\n  for now   {command}\n")),
        "{explained}"
    );
    let words: Vec<_> = command.split(' ').skip(2).collect();
    assert!(live.run(&words).starts_with("Granted: 1  "));
    let explained = live.run(&["explain", "work", "vault", "qubes.Gpg"]);
    assert!(!explained.contains("for now"), "{explained}");
    let json = live.run(&["explain", "work", "vault", "qubes.Gpg", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["verdict"], &json["grants"][0]["id"]),
        (&"deny".into(), &1.into())
    );
    let offline = live.run(&[
        "explain",
        "work",
        "vault",
        "qubes.Gpg",
        "--policy",
        "etc/bulkhead/policy.d",
    ]);
    assert!(
        offline.starts_with("deny") && !offline.contains("for now"),
        "{offline}"
    );
}

#[test]
fn explain_names_files_as_they_are_changed() {
    let live = Live::start(DENY);
    let _ = live.run(&["apply", "-m", "as it was"]);
    insta::assert_snapshot!(live.run(&["explain", "work", "vault", "qubes.Gpg"]), @r"
    deny
      rule      qubes.Gpg * work vault deny
                30-user.policy:1
      reason    a rule denies the call
      asked for vault
      to allow  qubes.Gpg + work vault allow
                before 30-user.policy:1
      live      generation 1
      for now   bulkhead policy grant work vault qubes.Gpg --for 10m
    ");
}

#[test]
fn what_could_never_be_granted_is_refused() {
    let live = Live::start(DENY);
    insta::assert_snapshot!(live.run(&["grant", "work", "vualt", "qubes.Gpg", "--for", "1m"]), @r"
    ! error: there is no domain `vualt`; did you mean `vault`?
    [exit code 1]
    ");
    insta::assert_snapshot!(live.run(&["revoke"]), @r"
    ! error: it is not said which grant
    ! hint: name its number, which `bulkhead policy grants` shows, or give --all
    [exit code 2]
    ");
}

#[test]
fn expectations_without_domains_are_held_against_those_there_are() {
    let live = Live::start(DENY);
    let tests = "work -> vault qubes.Gpg deny\nwork -> vault qubes.Date allow\n";
    live.fixture.write("etc/bulkhead/policy.d/a.test", tests);
    insta::assert_snapshot!(live.run(&["test"]), @"Expectations met: 2, not met: 0; files: 1.");
}

#[test]
fn before_a_generation_goes_live_it_is_told_what_it_changes() {
    let live = Live::start(DENY);
    let _ = live.run(&["apply", "-m", "as it was"]);
    let more = "qubes.Gpg * vault work allow\n";
    live.fixture
        .write("etc/bulkhead/policy.d/40-more.policy", more);
    let differs = live.run(&["diff"]);
    let changed = "deny  ⇒  allow\n  was no rule\n  now qubes.Gpg * vault work allow";
    assert!(differs.starts_with(changed), "{differs}");
    let told = live.run(&["apply", "-m", "more", "--dry-run"]);
    assert_eq!(told, format!("{differs}Generation 2 would be live.\n"));
    assert!(live.run(&["log"]).starts_with("1  live  "));
}

#[test]
fn decisions_are_shown_as_they_are_made() {
    let live = Live::start(DENY);
    std::thread::scope(|scope| {
        let trace = scope.spawn(|| live.run(&["trace", "verdict=deny", "--count", "2"]));
        while !trace.is_finished() {
            live.ask("work", "vault", "qubes.Date");
            live.ask("work", "vault", "qubes.Gpg");
        }
        let text = trace.join().unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(
            text.lines()
                .all(|line| line.contains("deny  work -> vault qubes.Gpg: a rule denies the call"))
        );
    });
}

#[test]
fn without_a_policy_daemon_it_is_said() {
    insta::assert_snapshot!(Fixture::alone().run(&["policy", "grants"]), @r"
    ! error: the policy daemon does not answer
    ! caused by: no such file or directory
    ! hint: start it: `systemctl start policyd`
    [exit code 1]
    ");
    insta::assert_snapshot!(Fixture::alone().run(&["policy", "trace"]), @r"
    ! error: the policy daemon does not answer
    ! caused by: no such file or directory
    ! hint: start it: `systemctl start policyd`
    [exit code 1]
    ");
}
