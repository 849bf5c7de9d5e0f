// SPDX-License-Identifier: GPL-3.0-or-later
//! What people and daemons do with a manager.

use std::io::BufRead;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::fixture::Fixture;

#[test]
fn a_domain_is_created_started_listed_shut_down_and_removed() {
    let fixture = Fixture::with_domains();
    insta::assert_snapshot!(fixture.ok("admin.vm.List", "dom0", "").lines().map(|l| l.split(" uuid").next().unwrap()).collect::<Vec<_>>().join("\n"), @r"
    dom0 class=AdminVM state=Running
    base class=AppVM state=Halted
    debian class=TemplateVM state=Halted
    work class=AppVM state=Halted
    ");
    fixture.ok("admin.vm.Start", "work", "");
    insta::assert_snapshot!(fixture.ok("admin.vm.CurrentState", "work", ""), @"mem=409600 mem_static_max=409600 cputime=0 power_state=Running");
    fixture.ok("admin.vm.Start", "work", "");
    let report = fixture.ok("bulkhead.domain.StartReport", "work", "");
    for stage in ["storage", "create", "release", "agent"] {
        assert!(report.contains(stage), "{report}");
    }
    fixture.verify_invariants();
    fixture.ok("admin.vm.Shutdown+wait", "work", "");
    fixture.verify_invariants();
    fixture.ok("admin.vm.Remove", "work", "");
    assert_eq!(fixture.state_of("work"), "gone");
    fixture.verify_invariants();
}

#[test]
fn a_domain_of_another_machine_is_kept_for_policy_and_never_started() {
    let mut fixture = Fixture::with_domains();
    fixture.ok("admin.vm.Create.RemoteVM", "dom0", "name=far label=gray");
    for (property, value) in [
        ("relayvm", "work"),
        ("transport_rpc", "my.Relay"),
        ("remote_name", "there"),
    ] {
        fixture.ok(&format!("admin.vm.property.Set+{property}"), "far", value);
    }
    let mut info = String::new();
    fixture.watch().read_line(&mut info).unwrap();
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    let mut far = info["domains"]["far"].clone();
    far["uuid"] = "…".into();
    insta::assert_snapshot!(far, @r#"{"default_dispvm":"base","domid":null,"guivm":null,"icon":"remotevm-gray","internal":false,"label":"gray","power_state":"Running","relayvm":"work","tags":["created-by-dom0","relayvm-work"],"template_for_dispvms":false,"transport_rpc":"my.Relay","type":"RemoteVM","uuid":"…"}"#);
    insta::assert_snapshot!(fixture.refused("admin.vm.Start", "far", ""), @r"
    QubesValueError
    `far` is on another machine; it starts and stops there
    ");
    insta::assert_snapshot!(fixture.refused("admin.vm.Kill", "far", ""), @r"
    QubesValueError
    `far` is on another machine; it starts and stops there
    ");
    insta::assert_snapshot!(fixture.refused("admin.vm.property.Set+relayvm", "far", "far"), @r"
    QubesPropertyValueError
    property `relayvm`: a domain is reached through a domain of this machine
    ");
    insta::assert_snapshot!(fixture.refused("admin.vm.property.Set+transport_rpc", "far", "a b"), @r"
    QubesPropertyValueError
    property `transport_rpc`: `a b` is not the name of a service
    ");
    insta::assert_snapshot!(fixture.refused("admin.vm.property.Set+memory", "far", "400"), @r"
    QubesNoSuchPropertyError
    domain `far` has no property `memory`
    ");
    insta::assert_snapshot!(fixture.refused("admin.vm.Remove", "work", ""), @r"
    QubesVMInUseError
    domain `work` is in use: relayvm of far
    ");
    insta::assert_snapshot!(fixture.refused("admin.vm.Create.RemoteVM+debian", "dom0", "name=new label=red"), @r"
    QubesValueError
    a RemoteVM has no template
    ");
    fixture.kill_manager();
    fixture.start_manager(None);
    assert_eq!(fixture.state_of("far"), "Running");
    fixture.ok("admin.vm.Remove", "far", "");
    assert_eq!(fixture.state_of("far"), "gone");
    fixture.verify_invariants();
}

#[test]
fn the_tag_of_a_relay_follows_a_change_of_relay_while_both_run() {
    let fixture = Fixture::with_domains();
    fixture.ok("admin.vm.Create.RemoteVM", "dom0", "name=far label=gray");
    for relay in ["work", "base"] {
        fixture.ok("admin.vm.Start", relay, "");
    }
    let tags_after = |relay: &str| {
        fixture.ok("admin.vm.property.Set+relayvm", "far", relay);
        let mut info = String::new();
        fixture.watch().read_line(&mut info).unwrap();
        let info: serde_json::Value = serde_json::from_str(&info).unwrap();
        info["domains"]["far"]["tags"].to_string()
    };
    assert_eq!(tags_after("work"), r#"["created-by-dom0","relayvm-work"]"#);
    assert_eq!(tags_after("base"), r#"["created-by-dom0","relayvm-base"]"#);
    assert_eq!(tags_after(""), r#"["created-by-dom0"]"#);
    fixture.ok("admin.vm.Remove", "far", "");
    fixture.verify_invariants();
}

#[test]
fn a_disposable_belongs_to_its_caller_and_is_gone_when_it_is_killed() {
    let fixture = Fixture::with_domains();
    let name = fixture
        .ask_as("work", "admin.vm.CreateDisposable", "base", "")
        .unwrap()
        .unwrap();
    assert!(name.starts_with("disp"), "{name}");
    let disposable = &fixture.domains()[&name];
    assert_eq!(disposable.created_by.as_deref(), Some("work"));
    assert_eq!(
        (disposable.label.as_str(), disposable.template.as_deref()),
        ("red", Some("base"))
    );
    fixture
        .ask_as("work", "admin.vm.Start", &name, "")
        .unwrap()
        .unwrap();
    fixture.verify_invariants();
    fixture
        .ask_as("work", "admin.vm.Kill", &name, "")
        .unwrap()
        .unwrap();
    assert_eq!(fixture.state_of(&name), "gone");
    fixture.verify_invariants();
}

#[test]
fn the_disposables_of_a_domain_end_when_its_qrexec_daemon_dies() {
    let fixture = Fixture::with_domains();
    fixture.ok("admin.vm.Start", "work", "");
    let name = fixture
        .ask_as("work", "admin.vm.CreateDisposable", "base", "")
        .unwrap()
        .unwrap();
    fixture.ok("admin.vm.Start", &name, "");
    let mut watch = fixture.watch();
    let pid = std::fs::read_to_string(fixture.machine().join("daemons/work")).unwrap();
    kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
    wait_for(&mut watch, |info| !info.contains(&name));
    assert_eq!(
        fixture.state_of("work"),
        "Running",
        "the domain itself runs on"
    );
}

#[test]
fn a_guest_that_ends_by_itself_is_cleared_and_everybody_is_told() {
    let fixture = Fixture::with_domains();
    fixture.ok("admin.vm.Start", "work", "");
    let mut watch = fixture.watch();
    wait_for(&mut watch, |info| state_in(info, "work") == "Running");
    fixture.guest_dies("work");
    wait_for(&mut watch, |info| state_in(info, "work") == "Halted");
    fixture.verify_invariants();
}

#[test]
fn guests_run_on_while_the_manager_is_away() {
    let mut fixture = Fixture::with_domains();
    fixture.ok("admin.vm.Start", "work", "");
    fixture.ok("admin.vm.Start", "base", "");
    let guest = fixture.domains()["work"].domid;
    fixture.end_manager();
    fixture.start_manager(None);
    assert_eq!(
        (fixture.state_of("work"), fixture.domains()["work"].domid),
        ("Running".to_owned(), guest)
    );
    fixture.kill_manager();
    let socket = fixture.layout().runtime().join("notify/base-qrexec");
    assert!(socket.exists(), "its daemons said here that they are ready");
    // One guest ends while nobody looks.
    std::fs::remove_file(fixture.machine().join("guests/base")).unwrap();
    fixture.start_manager(None);
    assert_eq!(
        (fixture.state_of("work"), fixture.state_of("base")),
        ("Running".to_owned(), "Halted".to_owned())
    );
    assert!(!socket.exists(), "nothing of the guest that ended stays");
    fixture.verify_invariants();
}

#[test]
fn a_property_set_is_there_after_a_crash() {
    let mut fixture = Fixture::with_domains();
    fixture.ok("admin.vm.property.Set+memory", "debian", "300");
    fixture.ok("admin.vm.property.Set+label", "work", "blue");
    fixture.kill_manager();
    fixture.start_manager(None);
    assert_eq!(
        fixture.ok("admin.vm.property.Get+memory", "work", ""),
        "default=True type=int 300"
    );
    assert_eq!(
        fixture.ok("admin.vm.property.Get+label", "work", ""),
        "default=False type=label blue"
    );
    insta::assert_snapshot!(fixture.ok("admin.vm.property.GetAll", "work", "").lines().filter(|l| !l.starts_with("uuid")).collect::<Vec<_>>().join("\n"), @r"
    default_dispvm default=True type=vm base
    default_user default=True type=str user
    guivm default=True type=vm dom0
    icon default=True type=str appvm-blue
    kernel default=True type=str debian
    klass default=False type=str AppVM
    label default=False type=label blue
    memory default=True type=int 300
    name default=False type=str work
    qrexec_timeout default=True type=int 20
    shutdown_timeout default=True type=int 60
    template default=False type=vm debian
    template_for_dispvms default=True type=bool False
    vcpus default=True type=int 2
    virt_mode default=True type=str pvh
    xid default=True type=int 
    ");
}

#[test]
fn a_paused_domain_goes_on_and_is_adopted_as_paused() {
    let mut fixture = Fixture::with_domains();
    fixture.ok("admin.vm.Start", "work", "");
    fixture.ok("admin.vm.Pause", "work", "");
    fixture.kill_manager();
    fixture.start_manager(None);
    assert_eq!(fixture.state_of("work"), "Paused");
    fixture.ok("admin.vm.Unpause", "work", "");
    fixture.verify_invariants();
}

/// Reads documents until one is as wished.
fn wait_for(watch: &mut impl BufRead, wished: impl Fn(&str) -> bool) {
    loop {
        let mut line = String::new();
        assert_ne!(
            watch.read_line(&mut line).unwrap(),
            0,
            "the manager hung up"
        );
        if wished(&line) {
            return;
        }
    }
}

fn state_in(info: &str, domain: &str) -> String {
    let document: serde_json::Value = serde_json::from_str(info).unwrap();
    let state = &document["domains"][domain]["power_state"];
    state.as_str().unwrap_or("gone").to_owned()
}
