// SPDX-License-Identifier: GPL-3.0-or-later
//! Daemons of dom0 are killed one by one in the middle of a call: whoever waits gets an
//! answer, and the next run works.

use nix::sys::signal::Signal::SIGKILL;

use crate::scene::Scene;

/// A call that ends with 5 when the file `go` appears.
const UNTIL_TOLD: &str = "until test -e go; do sleep 0.02; done; exit 5";

/// Lets a call of [`UNTIL_TOLD`] end. It may have been cut, but must not hang.
fn let_go(scene: &Scene, call: testkit::Running) -> i32 {
    scene.ok(&["bulkhead", "run", "work", "--", "touch", "go"]);
    let code = call.finish().unwrap().code;
    assert_ne!(code, 0, "a call that was cut does not look like success");
    code
}

#[test]
fn without_the_manager_commands_fail_and_after_its_return_domains_run_on() {
    let mut scene = Scene::new();
    let call = scene.call("work", UNTIL_TOLD);
    let before = scene.fixture.processes();
    scene.fixture.end_daemon("bulkheadd", SIGKILL).unwrap();

    let (code, complaint) = scene.fails(&["bulkhead", "start", "personal"]);
    assert_eq!(code, 1);
    assert!(complaint.contains("hint:"), "{complaint}");

    scene.fixture.start_daemon("bulkheadd").unwrap();
    let work = scene
        .domains()
        .into_iter()
        .find(|domain| domain.name == "work")
        .unwrap();
    assert_eq!(work.state, "Running");
    let agent = |all: &[testkit::Process]| {
        all.iter()
            .find(|p| p.program() == "qrexec-agent")
            .map(|p| p.id)
    };
    assert_eq!(
        agent(&scene.fixture.processes()),
        agent(&before),
        "the guest was not touched"
    );
    let_go(&scene, call);
    scene.works();
    scene.over();
}

#[test]
fn a_start_that_is_cut_short_is_repaired_by_the_next_manager() {
    let mut scene = Scene::new();
    let start = scene.start(&["bulkhead", "start", "work"], "");
    scene.fixture.end_daemon("bulkheadd", SIGKILL).unwrap();
    // It may have been done before the kill.
    let _ = start.finish().unwrap();
    scene.fixture.start_daemon("bulkheadd").unwrap();
    scene.works();
    scene.over();
}

#[test]
fn without_the_policy_daemon_calls_are_refused() {
    let mut scene = Scene::new();
    scene.works();
    let call = scene.call("work", UNTIL_TOLD);
    scene.fixture.end_daemon("policyd", SIGKILL).unwrap();

    let copy = [
        "bulkhead",
        "run",
        "work",
        "--",
        "bulkhead-copy",
        "personal",
        "n.txt",
    ];
    let (code, complaint) = scene.fails(&copy);
    assert_eq!(code, 126, "{complaint}");
    assert!(
        complaint.contains("work could not copy files to personal"),
        "{complaint}"
    );

    scene.fixture.start_daemon("policyd").unwrap();
    assert_eq!(let_go(&scene, call), 5, "a call that runs needs no policy");
    scene.works();
    scene.over();
}

#[test]
fn a_domains_qrexec_daemon_is_replaced() {
    let scene = Scene::new();
    scene.works();
    let call = scene.call("work", UNTIL_TOLD);
    let to_personal = guest_call(&scene);
    scene
        .fixture
        .kill_process("qrexec-daemon", " work")
        .unwrap();
    // Refused or answered, but not hanging, while the daemon is away.
    let _ = scene.run(&["bulkhead", "run", "work", "--", "true"]);
    scene.agent_met("work", 2);
    let_go(&scene, call);
    let _ = to_personal.finish().unwrap();
    scene.works();
    scene.over();
}

/// A call from work to personal that ends by itself once it was answered.
fn guest_call(scene: &Scene) -> testkit::Running {
    let script = "echo 'echo answered' | qrexec-client-vm personal qubes.VMShell";
    let argv = ["bulkhead", "run", "work", "--", "sh", "-c", script];
    let running = scene.start(&argv, "");
    running.prints("answered").unwrap();
    running
}

#[test]
fn a_disposable_goes_with_the_daemon_of_the_domain_that_asked_for_it() {
    let scene = Scene::new();
    let script = "(echo 'hostname; exec sleep 1000'; sleep 1000) | \
                  qrexec-client-vm @dispvm qubes.VMShell";
    let argv = ["bulkhead", "run", "untrusted", "--", "sh", "-c", script];
    let call = scene.start(&argv, "");
    call.prints("disp").unwrap();
    let disposable = scene
        .domains()
        .into_iter()
        .find(|domain| domain.class == "DispVM")
        .unwrap();

    scene
        .fixture
        .kill_process("qrexec-daemon", " untrusted")
        .unwrap();
    scene.ok(&["domain-probe", "gone", &disposable.name, "60"]);
    drop(call);
    scene.works();
    scene.over();
}
