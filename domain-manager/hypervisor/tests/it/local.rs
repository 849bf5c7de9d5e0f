// SPDX-License-Identifier: GPL-3.0-or-later
//! What only the local back end has: a borrowed system, and processes that can be killed.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bulkhead_hypervisor::{CreateError, Hypervisor, LocalOptions, OpenError};
use bulkhead_types::{DomId, Port};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::machine::Machine;

const PATIENCE: Duration = Duration::from_secs(60);

/// A machine whose guests run `script` as their session. What it writes to `$report` is the
/// answer.
fn machine_with_session(script: &str) -> Machine {
    let machine = Machine::new();
    let list = "[[install]]\nfile = 'session'\nto = '/usr/lib/bulkhead/session'\n";
    machine.install("install.toml", list);
    let head = "#!/bin/bash\nreport=/home/user/report\n";
    machine.install("session", &format!("{head}{script}\nsleep infinity\n"));
    machine
}

/// Starts a guest and waits for what its session reports.
fn start_and_hear(machine: &Machine, hypervisor: &Hypervisor, name: &str) -> (DomId, String) {
    let report = pipe(machine, name);
    let domid = hypervisor.create(&machine.guest(name)).unwrap();
    hypervisor.unpause(domid).unwrap();
    (domid, fs::read_to_string(report).unwrap())
}

fn pipe(machine: &Machine, name: &str) -> PathBuf {
    let spec = machine.guest(name);
    let home = spec.disks[0].path.join("home/user");
    fs::create_dir_all(&home).unwrap();
    let report = home.join("report");
    mkfifo(&report, Mode::from_bits_truncate(0o600)).unwrap();
    report
}

#[test]
fn a_guest_is_a_user_with_a_name_a_home_and_a_network_of_its_own() {
    let machine = machine_with_session(
        "{ id -un; id -u; hostname; pwd; cat /etc/hostname; ls /home; echo $VCHAN_DOMAIN;
           ls /sys /root 2>&1 | grep -c .; tail -n +3 /proc/net/dev | grep -vc lo:
           touch /usr/bin/x 2>&1 | grep -o 'Read-only.*'; } > $report",
    );
    let (domid, report) = start_and_hear(&machine, &machine.open(), "work");
    let lines: Vec<_> = report.lines().take(7).collect();
    let number = domid.to_string();
    assert_eq!(
        lines,
        [
            "user",
            "1000",
            "work",
            "/home/user",
            "work",
            "user",
            &number
        ],
        "{report}"
    );
    assert!(report.ends_with("\n0\nRead-only file system\n"), "{report}");
}

#[test]
fn our_programs_appear_among_the_hosts() {
    let machine = machine_with_session(
        "{ ls -d /usr/lib/bulkhead/session /usr/bin/env /usr/share/doc; env true && echo runs; } > $report",
    );
    let (_, report) = start_and_hear(&machine, &machine.open(), "work");
    assert_eq!(
        report,
        "/usr/bin/env\n/usr/lib/bulkhead/session\n/usr/share/doc\nruns\n"
    );
    assert!(
        !PathBuf::from("/usr/lib/bulkhead/session").exists(),
        "the host is untouched"
    );
}

#[test]
fn what_a_guest_writes_at_home_stays_in_its_private_volume() {
    let machine = machine_with_session("echo kept > /home/user/file; echo > $report");
    let (_, _) = start_and_hear(&machine, &machine.open(), "work");
    assert_eq!(
        fs::read_to_string(machine.home("work").join("file")).unwrap(),
        "kept\n"
    );
}

#[test]
fn a_service_that_ends_is_started_again() {
    let machine = machine_with_session("echo > $report; exit");
    let hypervisor = machine.open();
    start_and_hear(&machine, &hypervisor, "work");
    // The second run of the session opens the pipe anew.
    fs::read_to_string(machine.home("work").join("report")).unwrap();
}

#[test]
fn a_guest_that_kills_all_its_processes_loses_only_those() {
    let machine = machine_with_session("echo > $report; kill -9 -1; kill -9 $$");
    let hypervisor = machine.open();
    let (domid, _) = start_and_hear(&machine, &hypervisor, "work");
    fs::read_to_string(machine.home("work").join("report")).unwrap();
    let guests = hypervisor.list().unwrap();
    assert_eq!(
        guests.iter().map(|guest| guest.domid).collect::<Vec<_>>(),
        [domid]
    );
}

#[test]
fn a_guest_that_ignores_the_request_to_shut_down_ends_anyway() {
    let machine =
        machine_with_session("trap '' TERM; echo > $report; while :; do sleep 9 & wait; done");
    let hypervisor = machine.open();
    let deaths = hypervisor.deaths();
    let (domid, _) = start_and_hear(&machine, &hypervisor, "work");
    hypervisor.request_shutdown(domid).unwrap();
    assert_eq!(deaths.next_within(PATIENCE).unwrap().domid, domid);
}

#[test]
fn a_guest_ends_with_its_supervisor() {
    let machine = machine_with_session("echo $$ > $report");
    let hypervisor = machine.open();
    let deaths = hypervisor.deaths();
    let (domid, _) = start_and_hear(&machine, &hypervisor, "work");
    let folder = machine.layout.local_guest_dir(&machine.guest("work").name);
    kill_whoever_has_in_its_arguments(folder.to_str().unwrap());
    assert_eq!(deaths.next_within(PATIENCE).unwrap().domid, domid);
    assert!(hypervisor.list().unwrap().is_empty());
    assert!(!folder.exists());
}

/// Kills the supervisor of the guest with that folder.
fn kill_whoever_has_in_its_arguments(folder: &str) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let process = entry.file_name().to_string_lossy().parse::<i32>();
        let arguments = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        let mut arguments = arguments.split('\0');
        let program = arguments.next().unwrap_or_default();
        if let Ok(process) = process
            && program.ends_with("bulkhead-local-guest")
            && arguments.next() == Some(folder)
        {
            kill(Pid::from_raw(process), Signal::SIGKILL).unwrap();
        }
    }
}

#[test]
fn a_guest_that_cannot_come_up_says_why_and_leaves_nothing() {
    let machine = Machine::new();
    let hypervisor = machine.open();
    fs::remove_dir_all(machine.options().guest_files).unwrap();
    let error = hypervisor.create(&machine.guest("work")).unwrap_err();
    let CreateError::Failed { name, source } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(name.as_str(), "work");
    let why = source.to_string();
    assert!(why.contains("bwrap: Can't find source path"), "{why}");
    assert!(hypervisor.list().unwrap().is_empty());
    assert!(!machine.layout.local_guest_dir(name).exists());
}

#[test]
fn what_a_killed_manager_left_half_made_is_cleared_away() {
    let machine = Machine::new();
    let name = machine.guest("work").name;
    let folder = machine.layout.local_guest_dir(&name);
    for left in ["lock", "guest.json", "state.new"] {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(left), "").unwrap();
        let hypervisor = machine.open();
        assert!(hypervisor.list().unwrap().is_empty());
        assert!(!folder.exists());
    }
}

#[test]
fn a_dead_guest_leaves_no_meeting_point_behind() {
    let machine = Machine::new();
    let hypervisor = machine.open();
    let domid = hypervisor.create(&machine.guest("work")).unwrap();
    hypervisor.unpause(domid).unwrap();
    let patience = Some(PATIENCE);
    machine
        .endpoints()
        .connect(domid, Port::QREXEC, patience)
        .unwrap();
    hypervisor.destroy(domid).unwrap();
    let left: Vec<_> = fs::read_dir(machine.layout.local_vchan_dir())
        .unwrap()
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_missing_program_is_named_with_a_way_out() {
    let machine = Machine::new();
    let options = LocalOptions {
        programs: "/nowhere".into(),
        ..machine.options()
    };
    let error = Hypervisor::local(&machine.layout, options).unwrap_err();
    assert!(matches!(&error, OpenError::NoProgram(path) if path.starts_with("/nowhere")));
    assert!(error.hint().unwrap().contains("[programs]"));
}

#[test]
fn whoever_uses_it_is_told_that_it_isolates_nothing() {
    let warning = Machine::new().open().warning().unwrap();
    assert!(warning.contains("isolates nothing"));
}
