// SPDX-License-Identifier: GPL-3.0-or-later
//! What a person is told, and what the domain manager is asked.

use crate::fixture::{Fixture, content, refusal};

const STATUS: &str = r#"{"version":"0.1.0","backend":"local","warning":"the local back end isolates nothing","pool":"/pool","environment":[],"display":null,"domains":3,"running":1,"damaged":[]}"#;

#[test]
fn without_a_domain_manager_the_command_says_what_to_run() {
    insta::assert_snapshot!(Fixture::alone().run(&["ls"]), @r"
    ! error: the domain manager cannot be reached at $ROOT/run/bulkhead/admin.sock
    ! caused by: no such file or directory
    ! hint: start it: `bulkheadd` with the same BULKHEAD_ROOT
    [exit code 1]
    ");
}

#[test]
fn the_list_is_one_request() {
    let list = r#"[{"name":"dom0","uuid":"0","class":"AdminVM","state":"Running","label":"black","template":null,"memory":null,"vcpus":null,"domid":0,"template_for_dispvms":false,"default_dispvm":null,"created_by":null,"default_user":null}]"#;
    let fixture = Fixture::answering(&[("bulkhead.domain.List", content(list))]);
    insta::assert_snapshot!(fixture.run(&["ls"]), @r#"
    NAME  STATE    CLASS    LABEL  TEMPLATE  MEMORY
    dom0  Running  AdminVM  black  -         -
    "#);
    assert_eq!(fixture.asked(), ["bulkhead.domain.List dom0"]);
}

#[test]
fn a_domain_is_created_as_asked_and_taken_back_when_a_property_is_wrong() {
    let fixture = Fixture::answering(&[
        ("admin.vm.Create.AppVM+debian", content("")),
        ("admin.vm.property.Set+template_for_dispvms", content("")),
        (
            "admin.vm.property.Set+memory",
            refusal(
                "QubesPropertyValueError",
                "property `memory`: `lots` is not a number",
            ),
        ),
        ("admin.vm.Remove", content("")),
    ]);
    assert_eq!(
        fixture.run(&[
            "create",
            "base",
            "--template",
            "debian",
            "--label",
            "red",
            "--for-disposables"
        ]),
        ""
    );
    insta::assert_snapshot!(fixture.run(&["create", "big", "--template", "debian", "--set", "memory=lots"]), @r#"
    ! error: property `memory`: `lots` is not a number
    [exit code 1]
    "#);
    insta::assert_snapshot!(fixture.asked().join("\n"), @r#"
    admin.vm.Create.AppVM+debian dom0 name=base label=red
    admin.vm.property.Set+template_for_dispvms base True
    admin.vm.Create.AppVM+debian dom0 name=big
    admin.vm.property.Set+memory big lots
    admin.vm.Remove big
    "#);
}

#[test]
fn a_start_that_fails_shows_the_reason_and_the_console() {
    let message = "domain `work` did not start: its agent did not answer within 60 s\nthe end of its console:\n    kernel panic";
    let fixture = Fixture::answering(&[
        ("bulkhead.Status", content(STATUS)),
        ("admin.vm.Start", refusal("QubesVMError", message)),
    ]);
    insta::assert_snapshot!(fixture.run(&["start", "work"]), @r#"
    ! warning: the local back end isolates nothing
    ! error: domain `work` did not start: its agent did not answer within 60 s
    ! the end of its console:
    !     kernel panic
    [exit code 1]
    "#);
}

#[test]
fn what_is_refused_ends_with_126() {
    let fixture = Fixture::answering(&[(
        "admin.vm.Kill",
        refusal("PermissionDenied", "`admin.vm.Kill` is for dom0 only"),
    )]);
    insta::assert_snapshot!(fixture.run(&["kill", "work"]), @r#"
    ! error: `admin.vm.Kill` is for dom0 only
    [exit code 126]
    "#);
}

#[test]
fn wrong_usage_ends_with_2() {
    insta::assert_snapshot!(Fixture::alone().run(&["create", "9lives"]), @r#"
    ! error: invalid value '9lives' for '<NAME>': a domain name starts with a letter, not with '9'
    !
    ! For more information, try '--help'.
    [exit code 2]
    "#);
    insta::assert_snapshot!(Fixture::alone().run(&["create", "work", "--label", "pink"]), @r#"
    ! error: invalid value 'pink' for '--label <LABEL>': there is no label `pink`; labels are red, orange, yellow, green, gray, blue, purple, black
    !
    ! For more information, try '--help'.
    [exit code 2]
    "#);
}

#[test]
fn a_disposable_is_killed_although_its_start_failed() {
    let fixture = Fixture::answering(&[
        ("bulkhead.Status", content(STATUS)),
        ("admin.vm.CreateDisposable", content("disp42")),
        (
            "admin.vm.Start",
            refusal(
                "QubesMemoryError",
                "domain `disp42` did not start: there is not enough free memory",
            ),
        ),
        (
            "admin.vm.Kill",
            refusal("QubesVMNotFoundError", "there is no domain `disp42`"),
        ),
    ]);
    insta::assert_snapshot!(fixture.run(&["disp", "--", "true"]), @r#"
    ! warning: the local back end isolates nothing
    ! error: domain `disp42` did not start: there is not enough free memory
    ! hint: stop a domain, or give this one less with `bulkhead domain set NAME memory MIB`
    [exit code 1]
    "#);
    insta::assert_snapshot!(fixture.asked().join("\n"), @r#"
    bulkhead.Status dom0
    admin.vm.CreateDisposable dom0
    admin.vm.Start disp42
    admin.vm.Kill disp42
    "#);
}

#[test]
fn the_status_says_loudly_that_nothing_is_isolated_and_what_is_missing() {
    let fixture = Fixture::answering(&[("bulkhead.Status", content(STATUS))]);
    insta::assert_snapshot!(fixture.run(&["status"]), @r"
    NOTHING IS ISOLATED: the local back end isolates nothing

    domain manager   runs, version 0.1.0
    back end         local
    domains          3, 1 of them running
    pool             /pool
    display          none: domains show no windows
    policy daemon    does not answer
    policy           cannot go live; errors: 1
    below            $ROOT
    problem: the policy daemon does not answer, so every call is refused (no such file or directory); start it: `systemctl start policyd`
    problem: the policy has errors; `bulkhead policy check` shows them
    [exit code 1]
    ");
}

#[test]
fn labels_have_numbers_and_colours() {
    insta::assert_snapshot!(Fixture::alone().run(&["label", "list"]), @r#"
    red     #cc0000
    orange  #f57900
    yellow  #edd400
    green   #73d216
    gray    #555555
    blue    #3465a4
    purple  #75507b
    black   #000000
    "#);
}
