// SPDX-License-Identifier: GPL-3.0-or-later
//! Plays the conformance suite on Xen: `hypervisor-conformance KIND KERNEL RAMDISK ROOT`.
//!
//! KIND is `pv` or `pvh`; ROOT is the image of a template, which the guest gets read-only. More
//! arguments choose the cases whose names contain one of them. Prints one JSON object a line:
//! `{"case": …, "passed": …, "seconds": …, "failure": …}`. Exit code 1 when a case failed.
//!
//! `hypervisor-conformance agent` is what the local guests of the suite run for a qrexec
//! agent: it opens the channel and answers nobody.
#![forbid(unsafe_code)]

mod agent;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use bulkhead_hypervisor::conformance::{Case, Subject};
use bulkhead_hypervisor::{Disk, GuestKind, GuestSpec, Hypervisor, Kernel};
use bulkhead_types::{DomId, DomainName, DomainUuid, Layout, VolumeName};
use bulkhead_vchan::{Endpoints, Transport};

/// Enough for a small system under emulation.
const MEMORY_MIB: u32 = 256;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "agent") {
        return agent::serve();
    }
    let [kind, kernel, ramdisk, root, chosen @ ..] = arguments.as_slice() else {
        return usage();
    };
    let kind = match kind.as_str() {
        "pv" => GuestKind::Pv,
        "pvh" => GuestKind::Pvh,
        _ => return usage(),
    };
    let files = [kernel, ramdisk, root].map(PathBuf::from);
    let subject = match subject(kind, files) {
        Ok(subject) => subject,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut all_passed = true;
    for case in Case::all() {
        if !chosen.is_empty() && !chosen.iter().any(|part| case.name.contains(part.as_str())) {
            continue;
        }
        let clock = Instant::now();
        let played = case.play(&subject);
        all_passed &= played.is_ok();
        let line = serde_json::json!({
            "case": case.name,
            "passed": played.is_ok(),
            "seconds": clock.elapsed().as_secs_f64(),
            "failure": played.err().map(|failure| failure.to_string()),
        });
        println!("{line}");
    }
    if all_passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn usage() -> ExitCode {
    eprintln!("error: usage: hypervisor-conformance pv|pvh KERNEL RAMDISK ROOT [CASE]…");
    ExitCode::from(2)
}

fn subject(
    kind: GuestKind,
    [image, ramdisk, root]: [PathBuf; 3],
) -> Result<Subject, Box<dyn std::error::Error>> {
    let guest = GuestSpec {
        name: DomainName::parse("conformance")?,
        uuid: DomainUuid::dom0(),
        kind,
        memory_mib: MEMORY_MIB,
        vcpus: 1,
        kernel: Some(Kernel {
            image,
            ramdisk: Some(ramdisk),
            command_line: "root=/dev/xvda ro console=hvc0".into(),
        }),
        disks: vec![Disk {
            volume: VolumeName::Root,
            path: root,
            read_only: true,
        }],
    };
    Ok(Subject {
        open: Box::new(|| Hypervisor::xen(&Layout::below("/"))),
        guest,
        endpoints: Endpoints::new(Transport::Xen, DomId::DOM0)?,
    })
}
