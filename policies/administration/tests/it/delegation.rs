// SPDX-License-Identifier: GPL-3.0-or-later
//! The services `policy.*`, as a domain meets them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;

use bulkhead_types::Layout;
use policy_administration::service::{Request, serve};
use policy_generations::{SigningKey, Store, sha256_hex};

const OWN: &str = "# Mine.\nqubes.Gpg * work vault ask\n";
const DEFAULT: &str = "!include include/admin\nqubes.Filecopy * @anyvm @anyvm deny\n";
const ADMIN: &str = "# Nobody.\n";
const TESTS: &str = "domain work AppVM\ndomain vault AppVM\n\nwork -> vault qubes.Filecopy deny\n";

struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            root: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(machine.file("include")).unwrap();
        for (name, text) in [
            ("30-user.policy", OWN),
            ("90-default.policy", DEFAULT),
            ("90-default.test", TESTS),
            ("include/admin", ADMIN),
            ("README", "Not for us.\n"),
        ] {
            fs::write(machine.file(name), text).unwrap();
        }
        machine
    }

    fn layout(&self) -> Layout {
        Layout::below(self.root.path())
    }

    fn file(&self, name: &str) -> PathBuf {
        let [_, working] = self.layout().policy_dirs();
        working.join(name)
    }

    fn store(&self) -> Store {
        Store::at(self.layout().policy_generations())
    }

    /// What the domain `mgmt` is answered; a refusal begins with an exclamation mark.
    #[must_use = "look at the answer"]
    fn call(&self, call: &str, input: &str) -> String {
        self.call_for("mgmt", None, call, input)
    }

    /// What a domain is answered that asked for `target`.
    #[must_use = "look at the answer"]
    fn call_for(&self, caller: &str, target: Option<&str>, call: &str, input: &str) -> String {
        let request = Request::read(call, target, input.as_bytes());
        let answer = request.and_then(|request| serve(&self.layout(), caller, &request));
        match answer {
            Ok(answer) => String::from_utf8(answer).unwrap(),
            Err(refusal) => {
                // What a caller is not told shows in a test that fails.
                eprintln!("{refusal:?}");
                format!("! {refusal}")
            }
        }
    }

    /// A domain manager that is asked once, and answers that there are these domains.
    fn domains(&self, document: &str) -> thread::JoinHandle<()> {
        let socket = self.layout().internal_socket();
        fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let answer = format!("0\0{document}");
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = String::new();
            stream.read_to_string(&mut asked).unwrap();
            assert!(asked.contains("internal.GetSystemInfo"), "{asked:?}");
            stream.write_all(answer.as_bytes()).unwrap();
            fs::remove_file(socket).unwrap();
        })
    }

    /// The file as it is live.
    fn live(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.store().current().join(name)).ok()
    }
}

fn token(text: &str) -> String {
    format!("sha256:{}", sha256_hex(text.as_bytes()))
}

#[test]
fn a_domain_sees_what_there_is() {
    let machine = Machine::new();
    assert_eq!(machine.call("policy.List", ""), "30-user\n90-default\n");
    assert_eq!(machine.call("policy.include.List", ""), "admin\n");
    let expected = format!("{}\n{OWN}", token(OWN));
    assert_eq!(machine.call("policy.Get+30-user", ""), expected);
    let expected = format!("{}\n{ADMIN}", token(ADMIN));
    assert_eq!(machine.call("policy.include.Get+admin", ""), expected);
    let missing = machine.call("policy.Get+40-none", "");
    assert_eq!(
        missing,
        "! PolicyAdminFileNotFoundException Not found: 40-none.policy"
    );
    assert_eq!(
        machine.call("policy.GetFiles+qubes.Filecopy", ""),
        "90-default\n"
    );
    assert_eq!(machine.call("policy.GetFiles+my.Other", ""), "");
    // Looking changes nothing.
    assert_eq!(machine.store().live().unwrap(), None);
}

#[test]
fn a_change_is_live_at_once_as_a_generation_that_names_the_domain() {
    let machine = Machine::new();
    let new = "qubes.Gpg * work vault deny\n";
    let input = format!("{}\n{new}", token(OWN));
    assert_eq!(machine.call("policy.Replace+30-user", &input), "");
    assert_eq!(machine.live("30-user.policy").as_deref(), Some(new));
    assert_eq!(
        fs::read_to_string(machine.file("30-user.policy")).unwrap(),
        new
    );
    let store = machine.store();
    // The first one is what there was, to go back to.
    assert_eq!(
        (store.live().unwrap(), store.numbers().unwrap()),
        (Some(2), vec![1, 2])
    );
    let about = store.read(2).unwrap().manifest.about;
    assert_eq!(
        (&*about.author, &*about.message),
        ("mgmt", "policy.Replace of 30-user.policy")
    );
    // The same again is no change.
    assert_eq!(
        machine.call("policy.Replace+30-user", &format!("any\n{new}")),
        ""
    );
    assert_eq!(store.live().unwrap(), Some(2));

    let rule = "my.Service * work vault allow\n";
    assert_eq!(
        machine.call("policy.Replace+40-more", &format!("new\n{rule}")),
        ""
    );
    let files = machine.call("policy.GetFiles+my.Service", "");
    assert_eq!(files, "40-more\n");
    assert_eq!(machine.call("policy.Remove+40-more", &token(rule)), "");
    assert_eq!(machine.live("40-more.policy"), None);
    assert!(!machine.file("40-more.policy").exists());
    let gone = machine.call("policy.Remove+40-more", "any");
    assert!(
        gone.starts_with("! PolicyAdminFileNotFoundException"),
        "{gone}"
    );

    let rule = "policy.List * mgmt @adminvm allow\n";
    assert_eq!(
        machine.call("policy.include.Replace+admin", &format!("any\n{rule}")),
        ""
    );
    let path = machine.file("include/admin").display().to_string();
    assert_eq!(
        machine.call("policy.GetFiles+policy.List", ""),
        format!("{path}\n")
    );
}

#[test]
fn a_change_that_is_meant_for_something_else_is_refused() {
    let machine = Machine::new();
    for (call, token) in [
        ("policy.Replace+30-user", "new".to_owned()),
        ("policy.Replace+30-user", token("other\n")),
        ("policy.Replace+40-more", token(OWN)),
        ("policy.Remove+30-user", token("other\n")),
        ("policy.Remove+30-user", "new".to_owned()),
    ] {
        let input = match call.contains("Remove") {
            true => token,
            false => format!("{token}\n# Text.\n"),
        };
        let refusal = machine.call(call, &input);
        assert!(
            refusal.starts_with("! PolicyAdminTokenException"),
            "{refusal}"
        );
    }
    assert_eq!(machine.store().live().unwrap(), None);
    assert_eq!(
        fs::read_to_string(machine.file("30-user.policy")).unwrap(),
        OWN
    );
}

#[test]
fn what_would_make_the_policy_invalid_changes_nothing_and_tells_no_text_of_others() {
    let machine = Machine::new();
    let refusal = machine.call(
        "policy.Replace+30-user",
        "any\nqubes.Gpg * work vault alow\n",
    );
    insta::assert_snapshot!(refusal, @"! PolicyAdminSyntaxException 30-user.policy:1:24: expected `allow`, `deny` or `ask`, found `alow`");
    // An include that is used cannot go.
    insta::assert_snapshot!(machine.call("policy.include.Remove+admin", "any"), @"! PolicyAdminSyntaxException 90-default.policy:1: including a file that will be removed");
    // A test of dom0 stands against it.
    let input = "any\nqubes.Filecopy * work vault allow\n";
    insta::assert_snapshot!(machine.call("policy.Replace+30-user", input), @"! PolicyAdminException expectations are not met: 90-default.test:4 (without the domains there are: the domain manager cannot be asked: no such file or directory)");
    let binary = Request::read("policy.Replace+30-user", None, &b"any\n\xff\xfe"[..]).unwrap();
    let refusal = serve(&machine.layout(), "mgmt", &binary).unwrap_err();
    insta::assert_snapshot!(refusal, @"PolicyAdminSyntaxException `30-user.policy` is not UTF-8");
    assert_eq!(machine.store().live().unwrap(), None);
    assert_eq!(
        fs::read_to_string(machine.file("30-user.policy")).unwrap(),
        OWN
    );
}

#[test]
fn work_that_was_not_applied_is_neither_activated_nor_lost() {
    let machine = Machine::new();
    assert_eq!(machine.call("policy.Replace+40-more", "new\n# More.\n"), "");
    // An administrator has begun something.
    fs::write(machine.file("30-user.policy"), "* * * * allow\n").unwrap();
    let refusal = machine.call("policy.Replace+30-user", "any\n# Nothing.\n");
    insta::assert_snapshot!(refusal, @"! PolicyAdminException `30-user.policy` has a change in dom0 that was not applied");
    assert_eq!(machine.call("policy.Replace+40-more", "any\n# Less.\n"), "");
    assert_eq!(machine.live("30-user.policy").as_deref(), Some(OWN));
    let working = fs::read_to_string(machine.file("30-user.policy")).unwrap();
    assert_eq!(working, "* * * * allow\n");
}

#[test]
fn where_owners_sign_a_domain_changes_nothing() {
    let machine = Machine::new();
    let key = SigningKey::make(&machine.root.path().join("owner.key")).unwrap();
    fs::create_dir_all(machine.layout().policy_keys()).unwrap();
    let public = machine.layout().policy_keys().join("owner.pub");
    fs::write(public, key.public_hex()).unwrap();
    let refusal = machine.call("policy.Replace+30-user", "any\n# Nothing.\n");
    assert!(
        refusal.starts_with("! PolicyAdminException owners sign"),
        "{refusal}"
    );
    assert_eq!(
        fs::read_to_string(machine.file("30-user.policy")).unwrap(),
        OWN
    );
}

#[test]
fn a_link_out_of_the_directory_is_not_followed() {
    let machine = Machine::new();
    let elsewhere = machine.root.path().join("elsewhere");
    fs::write(&elsewhere, "# Elsewhere.\n").unwrap();
    symlink(&elsewhere, machine.file("50-link.policy")).unwrap();
    let refusal = machine.call("policy.Replace+50-link", "any\n# Here.\n");
    assert!(
        refusal.starts_with("! PolicyAdminInvalidFilePathException"),
        "{refusal}"
    );
    assert_eq!(
        fs::read_to_string(Path::new(&elsewhere)).unwrap(),
        "# Elsewhere.\n"
    );
}

#[test]
fn changes_at_the_same_time_all_count() {
    const DOMAINS: usize = 6;
    let machine = Machine::new();
    std::thread::scope(|scope| {
        for n in 0..DOMAINS {
            let machine = &machine;
            scope.spawn(move || {
                let input = format!("new\n# {n}\n");
                assert_eq!(
                    machine.call(&format!("policy.Replace+5{n}-own"), &input),
                    ""
                );
            });
        }
    });
    for n in 0..DOMAINS {
        let text = machine.live(&format!("5{n}-own.policy"));
        assert_eq!(text, Some(format!("# {n}\n")));
    }
    let numbers = machine.store().numbers().unwrap();
    assert_eq!(numbers.len(), DOMAINS + 1);
}

#[test]
fn an_argument_is_handed_out_once_and_calls_with_it_are_allowed() {
    let machine = Machine::new();
    let register = |argument: &str, target: Option<&str>| {
        machine.call_for(
            "backend",
            target,
            "policy.RegisterArgument+my.Perform",
            argument,
        )
    };
    assert_eq!(register("one.2-x_", Some("work")), "");
    assert_eq!(register("two", Some("vault")), "");
    let file = machine.live("60-registered-arguments.policy");
    insta::assert_snapshot!(file.unwrap(), @r"
    my.Perform +one.2-x_ work backend allow
    my.Perform +two vault backend allow
    ");
    let about = machine.store().read(3).unwrap().manifest.about;
    assert_eq!(
        (&*about.author, &*about.message),
        (
            "backend",
            "policy.RegisterArgument of 60-registered-arguments.policy"
        )
    );
    // Not to another, and not where dom0 has a rule of its own.
    let again = "! PolicyAdminException argument already registered";
    assert_eq!(register("two", Some("work")), again);
    let own = "my.Perform +three @anyvm @anyvm deny\n";
    assert_eq!(
        machine.call("policy.Replace+30-user", &format!("any\n{own}")),
        ""
    );
    assert_eq!(register("three", Some("work")), again);
    for (argument, target) in [
        ("", Some("work")),
        ("a b", Some("work")),
        ("a\n* * * * allow", Some("work")),
        ("a+b", Some("work")),
        (&"a".repeat(65), Some("work")),
        ("a", None),
        ("a", Some("@anyvm")),
        ("a", Some("no name")),
    ] {
        let refusal = register(argument, target);
        assert!(
            refusal.starts_with("! PolicyAdminProtocolException"),
            "{argument} {target:?}: {refusal}"
        );
    }
    let unnamed = machine.call_for("backend", Some("work"), "policy.RegisterArgument", "a");
    assert!(
        unnamed.starts_with("! PolicyAdminProtocolException"),
        "{unnamed}"
    );
}

#[test]
fn expectations_that_declare_no_domains_are_about_those_there_are() {
    let machine = Machine::new();
    let tests = "work -> vault qubes.Filecopy deny\n";
    fs::write(machine.file("40-ours.test"), tests).unwrap();
    let own = format!("any\n{OWN}# Changed.\n");
    insta::assert_snapshot!(machine.call("policy.Replace+30-user", &own), @"! PolicyAdminException expectations are not met: 40-ours.test:1 (without the domains there are: the domain manager cannot be asked: no such file or directory)");
    assert_eq!(machine.live("30-user.policy"), None);
    let known = r#"{"domains": {"work": {"type": "AppVM"}, "vault": {"type": "AppVM"}}}"#;
    let manager = machine.domains(known);
    assert_eq!(machine.call("policy.Replace+30-user", &own), "");
    manager.join().unwrap();
    assert!(machine.live("30-user.policy").unwrap().contains("Changed"));
    // What would break it is refused with the domains there are, too.
    let manager = machine.domains(known);
    let own = "any\nqubes.Filecopy * work vault allow\n";
    insta::assert_snapshot!(machine.call("policy.Replace+30-user", own), @"! PolicyAdminException expectations are not met: 40-ours.test:1, 90-default.test:4");
    manager.join().unwrap();
}
