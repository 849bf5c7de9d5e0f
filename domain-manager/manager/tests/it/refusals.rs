// SPDX-License-Identifier: GPL-3.0-or-later
//! Bad input and failing machines: a clear answer, and nothing left behind.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use crate::fixture::Fixture;

#[test]
fn what_makes_no_sense_is_refused_with_a_kind_and_a_reason() {
    let fixture = Fixture::with_domains();
    let create = |class: &str, payload: &str| {
        fixture.refused(&format!("admin.vm.Create.{class}"), "dom0", payload)
    };
    insta::assert_snapshot!(create("AppVM+debian", "name=work label=red"), @r"
    QubesVMAlreadyExistsError
    there is already a domain `work`
    ");
    insta::assert_snapshot!(create("AppVM+debian", "name=new label=pink"), @r"
    QubesLabelNotFoundError
    there is no label `pink`; labels are red, orange, yellow, green, gray, blue, purple, black
    ");
    insta::assert_snapshot!(create("AppVM+gone", "name=new label=red"), @r"
    QubesVMNotFoundError
    there is no domain `gone`
    ");
    insta::assert_snapshot!(create("AppVM+work", "name=new label=red"), @r"
    QubesNoTemplateError
    `work` is of class AppVM; an AppVM is based on a TemplateVM
    ");
    insta::assert_snapshot!(create("AppVM+debian", "name=9 label=red"), @r"
    QubesValueError
    a domain name starts with a letter, not with '9'
    ");
    insta::assert_snapshot!(create("AppVM+debian", ""), @r"
    ProtocolError
    the payload has no `name=`
    ");
    insta::assert_snapshot!(fixture.refused("admin.vm.Remove", "debian", ""), @r"
    QubesVMInUseError
    domain `debian` is in use: template of base, template of work
    ");
    insta::assert_snapshot!(fixture.refused("admin.vm.property.Reset+label", "work", ""), @r"
    QubesPropertyValueError
    property `label`: it has no default to return to
    ");
    insta::assert_snapshot!(fixture.refused("admin.vm.property.Set+memory", "work", "-5"), @r"
    QubesPropertyValueError
    property `memory`: `-5` is not a number
    ");
    insta::assert_snapshot!(fixture.refused("admin.vm.property.Get+nope", "work", ""), @r"
    QubesNoSuchPropertyError
    domain `work` has no property `nope`
    ");
    insta::assert_snapshot!(fixture.refused("admin.vm.Kill", "work", ""), @r"
    QubesVMNotRunningError
    domain `work` is not running; run `bulkhead start work` first
    ");
    insta::assert_snapshot!(fixture.refused("admin.vm.Start", "dom0", ""), @r"
    QubesValueError
    dom0 is this machine; that is not done here
    ");
    insta::assert_snapshot!(fixture.refused("admin.vm.CreateDisposable", "work", ""), @r"
    QubesNoTemplateError
    disposables cannot be based on `work`; an AppVM serves after `bulkhead domain set work template_for_dispvms True`
    ");
    insta::assert_snapshot!(fixture.refused("admin.vm.Brew", "work", ""), @r"
    ProtocolError
    there is no method `admin.vm.Brew`
    ");
    fixture.verify_invariants();
}

#[test]
fn a_domain_may_ask_for_a_disposable_and_nothing_else() {
    let fixture = Fixture::with_domains();
    for method in [
        "admin.vm.List",
        "admin.vm.Remove",
        "bulkhead.domain.List",
        "admin.vm.property.Set+label",
    ] {
        let (kind, _) = fixture
            .ask_as("work", method, "work", "")
            .unwrap()
            .unwrap_err();
        assert_eq!(kind, "PermissionDenied", "{method}");
    }
}

#[test]
fn a_guest_that_never_answers_fails_with_the_end_of_its_console() {
    let fixture = Fixture::with_domains();
    fixture.behave("work", "silent");
    fixture.ok("admin.vm.property.Set+qrexec_timeout", "work", "1");
    insta::assert_snapshot!(fixture.refused("admin.vm.Start", "work", ""), @r"
    QubesVMError
    domain `work` did not start: its agent did not answer within 1 s
    the end of its console:
        work boots
        work: cannot mount /rw
    ");
    fixture.verify_invariants();
}

#[test]
fn a_machine_without_memory_or_space_leaves_nothing_behind() {
    let fixture = Fixture::with_domains();
    fixture.behave("work", "no-memory");
    insta::assert_snapshot!(fixture.refused("admin.vm.Start", "work", ""), @r"
    QubesMemoryError
    domain `work` did not start: there is not enough free memory
    ");
    fixture.behave("new", "full");
    insta::assert_snapshot!(fixture.refused("admin.vm.Create.AppVM+debian", "dom0", "name=new label=red"), @r"
    StoragePoolException
    the pool is full: there is no space for the private volume of `new`
    ");
    fixture.verify_invariants();
    fixture.behave("new", "");
    fixture.create("AppVM+debian", "new");
}

#[test]
fn a_guest_that_ignores_a_shutdown_runs_on_and_can_be_killed() {
    let fixture = Fixture::with_domains();
    fixture.behave("work", "stubborn");
    fixture.ok("admin.vm.property.Set+shutdown_timeout", "work", "1");
    fixture.ok("admin.vm.Start", "work", "");
    insta::assert_snapshot!(fixture.refused("admin.vm.Shutdown+wait", "work", ""), @r"
    QubesVMShutdownTimeoutError
    domain `work` did not shut down within 1 s; `bulkhead kill work` ends it at once
    ");
    assert_eq!(fixture.state_of("work"), "Running");
    fixture.ok("admin.vm.Kill", "work", "");
    fixture.verify_invariants();
}

#[test]
fn a_start_without_the_qrexec_daemons_program_says_so_at_once() {
    let fixture = Fixture::with_domains();
    std::fs::remove_file(fixture.machine().join("programs/qrexec-daemon")).unwrap();
    let refused = fixture.refused("admin.vm.Start", "work", "");
    assert!(
        refused.contains("its qrexec daemon does not run: cannot start"),
        "{refused}"
    );
    fixture.verify_invariants();
}

#[test]
fn garbage_on_the_socket_is_dropped_and_the_next_caller_is_served() {
    let fixture = Fixture::with_domains();
    for garbage in [&b""[..], b"\0", b"GET / HTTP/1.1\r\n\r\n", &[b'a'; 70000]] {
        let mut stream = UnixStream::connect(fixture.layout().admin_socket()).unwrap();
        // The manager may have had enough before all of it is sent.
        let _ = stream.write_all(garbage);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"");
    }
    assert_eq!(fixture.domains().len(), 3);
}
