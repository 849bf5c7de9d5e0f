// SPDX-License-Identifier: GPL-3.0-or-later
//! The back end over an `xl` of the tests, which keeps its domains in files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use bulkhead_types::{DomainUuid, VolumeName};
use tempfile::TempDir;

use super::*;
use crate::spec::{Disk, GuestKind, GuestState, Kernel};

const PATIENCE: Duration = Duration::from_secs(60);

/// Each domain is a file `domains/ID` that holds its name, its column of flags and its UUID.
const XL: &str = r#"#!/bin/bash
cd "$(dirname "$0")/domains" || exit 9
fail() { echo "$1" >&2; exit 1; }
case $1 in
create)
    # A test may hold the creation up.
    [ -p ../gate ] && { echo > ../waiting; read -r < ../gate; }
    [ -f ../refusal ] && fail "$(cat ../refusal)"
    name=$(sed -n 's/^name = "\(.*\)"/\1/p' "$5")
    uuid=$(sed -n 's/^uuid = "\(.*\)"/\1/p' "$5")
    id=$(($(cat ../last) + 1)); echo $id > ../last
    # A test may kill the creation before the domain has a name.
    [ -f ../killer ] && { echo "(null) --p--- $uuid" > $id; kill -9 $$; }
    echo "$name --p--- $uuid" > $id ;;
domid) grep -l "^$2 " * ;;
list)
    if [ "$2" = -l ]; then
        sep='['
        for id in *; do
            read -r name flags uuid < "$id"
            echo "$sep{\"domid\":$id,\"config\":{\"c_info\":{\"name\":\"$name\",\"uuid\":\"$uuid\"}}}"; sep=,
        done; echo ']'
    else
        echo "Name ID Mem VCPUs State Time(s)"
        for id in *; do read -r name flags uuid < "$id"; echo "$name $id 400 1 $flags 0.0"; done
    fi ;;
vm-list)
    echo "UUID ID name"
    for id in *; do read -r name flags uuid < "$id"; echo "$uuid $id $name"; done ;;
info) echo 120 ;;
*)
    read -r name flags uuid < "$2" || fail "$2 is an invalid domain identifier (rc=-6)"
    case $1 in
    unpause) echo "$name r----- $uuid" > "$2" ;;
    pause) echo "$name --p--- $uuid" > "$2" ;;
    shutdown) echo "$name ---s-- $uuid" > "$2" ;;
    destroy) rm "$2" ;;
    esac ;;
esac
"#;

struct Machine {
    folder: TempDir,
    xen: XenHypervisor,
    releases: Sender<()>,
}

impl Machine {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("domains")).unwrap();
        fs::write(
            folder.path().join("domains/0"),
            format!("Domain-0 r----- {}\n", DomainUuid::dom0()),
        )
        .unwrap();
        fs::write(folder.path().join("last"), "0").unwrap();
        install(&folder.path().join("xl"));
        for file in ["vmlinuz", "initrd.img", "root.img"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let (xen, releases) = open(folder.path());
        Self {
            folder,
            xen,
            releases,
        }
    }

    /// Another manager in the place of this one.
    fn reopen(&mut self) {
        (self.xen, self.releases) = open(self.folder.path());
    }

    fn guest(&self, name: &str) -> GuestSpec {
        let file = |name: &str| self.folder.path().join(name);
        GuestSpec {
            name: DomainName::parse(name).unwrap(),
            uuid: uuid(name),
            kind: GuestKind::Pv,
            memory_mib: 400,
            vcpus: 1,
            kernel: Some(Kernel {
                image: file("vmlinuz"),
                ramdisk: Some(file("initrd.img")),
                command_line: "root=/dev/xvda rw".into(),
            }),
            disks: vec![Disk {
                volume: VolumeName::Root,
                path: file("root.img"),
                read_only: false,
            }],
        }
    }

    fn domain_file(&self, domid: DomId) -> PathBuf {
        self.folder.path().join(format!("domains/{domid}"))
    }

    fn configurations(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join("run")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }
}

/// A UUID that goes with a name.
fn uuid(name: &str) -> DomainUuid {
    let digits: u32 = name.bytes().map(u32::from).sum();
    DomainUuid::parse(&format!("c0ffee00-1234-4abc-8def-{digits:012}")).unwrap()
}

/// Written by another process: a script that is open for writing here could not be run when
/// a test beside this one forks at the wrong moment.
fn install(program: &Path) {
    let mut copy = Command::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(program)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut copy.stdin.take().unwrap(), XL.as_bytes()).unwrap();
    assert!(copy.wait().unwrap().success());
}

fn open(folder: &Path) -> (XenHypervisor, Sender<()>) {
    let (sender, releases) = channel();
    let xl = Xl::at(folder.join("xl"));
    let xen = XenHypervisor::with(xl, &folder.join("run"), releases.into_iter()).unwrap();
    (xen, sender)
}

#[test]
fn a_domain_that_shut_down_is_destroyed_and_its_end_told() {
    let machine = Machine::new();
    let deaths = machine.xen.deaths();
    let domid = machine.xen.create(&machine.guest("work")).unwrap();
    let state = machine.xen.list().unwrap()[0].state;
    assert_eq!(state, GuestState::Paused);
    assert_eq!(machine.configurations(), ["work.cfg"]);
    machine.xen.unpause(domid).unwrap();
    machine.xen.request_shutdown(domid).unwrap();
    assert_eq!(machine.xen.list().unwrap()[0].state, GuestState::Ending);

    machine.releases.send(()).unwrap();
    assert_eq!(deaths.next_within(PATIENCE).unwrap().domid, domid);
    assert!(!machine.domain_file(domid).exists(), "destroyed");
    assert!(machine.xen.list().unwrap().is_empty());
    assert!(machine.configurations().is_empty());
}

#[test]
fn a_domain_that_an_operator_destroyed_is_noticed() {
    let machine = Machine::new();
    let deaths = machine.xen.deaths();
    let work = machine.xen.create(&machine.guest("work")).unwrap();
    let other = machine.xen.create(&machine.guest("other")).unwrap();
    fs::remove_file(machine.domain_file(work)).unwrap();
    machine.releases.send(()).unwrap();
    assert_eq!(deaths.next_within(PATIENCE).unwrap().name.as_str(), "work");
    machine.xen.destroy(other).unwrap();
    machine.releases.send(()).unwrap();
    assert_eq!(deaths.next_within(PATIENCE).unwrap().domid, other);
}

#[test]
fn a_domain_that_is_being_created_when_the_manager_is_killed_is_waited_for() {
    let mut machine = Machine::new();
    let pipe = |name: &str| {
        let path = machine.folder.path().join(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        path
    };
    let (gate, waiting) = (pipe("gate"), pipe("waiting"));
    // The manager that is killed: its `xl` goes on without it.
    let killed = {
        let (xen, _) = open(machine.folder.path());
        let guest = machine.guest("work");
        thread::spawn(move || xen.create(&guest).map(drop))
    };
    fs::read_to_string(&waiting).unwrap();
    let opener = thread::spawn(move || fs::write(gate, "go\n"));
    machine.reopen();
    assert_eq!(machine.xen.list().unwrap()[0].name.as_str(), "work");
    opener.join().unwrap().unwrap();
    killed.join().unwrap().unwrap();
}

#[test]
fn domains_that_others_made_are_neither_listed_nor_touched() {
    let mut machine = Machine::new();
    let work = machine.xen.create(&machine.guest("work")).unwrap();
    let foreign = DomId::new(77).unwrap();
    let words = format!("foreign ---s-- {}\n", uuid("foreign"));
    fs::write(machine.domain_file(foreign), words).unwrap();
    machine.reopen();
    let deaths = machine.xen.deaths();
    machine.releases.send(()).unwrap();
    machine.xen.destroy(work).unwrap();
    assert_eq!(deaths.next_within(PATIENCE).unwrap().domid, work);
    assert!(machine.domain_file(foreign).exists());
    assert!(machine.xen.list().unwrap().is_empty());
    let refusal = machine.xen.destroy(foreign).unwrap_err();
    assert!(matches!(refusal, ControlError::NoSuchGuest(_)));
}

#[test]
fn what_xen_refuses_is_told_apart_and_leaves_nothing() {
    let machine = Machine::new();
    let refuse = |words: &str| {
        fs::write(machine.folder.path().join("refusal"), words).unwrap();
        let error = machine.xen.create(&machine.guest("work")).unwrap_err();
        assert!(machine.configurations().is_empty());
        error.to_string()
    };
    assert_eq!(
        refuse("failed to free memory for the domain"),
        "there is not enough free memory for the 400 MiB of `work`: 120 MiB are free; stop \
         another domain, or give this one less: `bulkhead domain set work memory MIB`"
    );
    assert_eq!(
        refuse("Domain with name \"work\" already exists."),
        "a guest named `work` is already there"
    );
    assert!(
        refuse("xc: error: panic: xg_dom_core.c:689: xc_dom_find_loader: no loader found")
            .ends_with("/vmlinuz` of `work` cannot be booted")
    );
    assert_eq!(refuse("something else"), "`work` could not be created");
}

#[test]
fn a_domain_whose_creation_was_killed_is_destroyed_although_it_has_no_name() {
    let mut machine = Machine::new();
    let other = machine.xen.create(&machine.guest("other")).unwrap();
    fs::write(machine.folder.path().join("killer"), "").unwrap();
    machine.xen.create(&machine.guest("work")).unwrap_err();
    let domains = || fs::read_dir(machine.folder.path().join("domains")).unwrap();
    assert_eq!(domains().count(), 2, "dom0 and the other one");

    // Killed together with the manager: the next one finds it.
    let half_made = DomId::new(9).unwrap();
    let words = format!("(null) --p--- {}\n", uuid("work"));
    fs::write(machine.domain_file(half_made), words).unwrap();
    let file = machine.folder.path().join("run/work.cfg");
    fs::write(
        file,
        format!("name = \"work\"\nuuid = \"{}\"\n", uuid("work")),
    )
    .unwrap();
    machine.reopen();
    assert!(!machine.domain_file(half_made).exists());
    assert!(machine.domain_file(other).exists());
}

#[test]
fn a_guest_without_a_kernel_is_refused() {
    let machine = Machine::new();
    let mut guest = machine.guest("work");
    guest.kernel = None;
    let error = machine.xen.create(&guest).unwrap_err();
    assert!(matches!(error, CreateError::NoKernel(_)), "{error}");
}

#[test]
fn a_machine_without_xen_is_told_what_to_do() {
    let Err(error) = XenHypervisor::open(&Layout::below("/nowhere")) else {
        // Played where there is one.
        return;
    };
    assert!(matches!(error, OpenError::NoXen { .. }), "{error}");
    assert!(error.hint().unwrap().contains("cargo xtask try"));
}
