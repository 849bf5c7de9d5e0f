// SPDX-License-Identifier: GPL-3.0-or-later
//! Plays the conformance suite on Xen: `hypervisor-conformance KIND TEMPLATE POOL [CASE]…`.
//!
//! KIND is `pv` or `pvh`; TEMPLATE is a folder made by the template builder (`root.img`,
//! `vmlinuz`, `initrd.img`); POOL is a folder on XFS or btrfs for the guests' volumes, which
//! is removed at the end. CASE chooses the cases whose names contain it. Prints one JSON object a line: `{"case": …,
//! "passed": …, "seconds": …, "failure": …}`. Exit code 1 when a case failed.
//!
//! `hypervisor-conformance agent` is what the local guests of the suite run for a qrexec
//! agent: it opens the channel and answers nobody.
#![forbid(unsafe_code)]

mod agent;

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use bulkhead_hypervisor::conformance::{Case, Subject};
use bulkhead_hypervisor::{Disk, GuestKind, GuestSpec, Hypervisor, Kernel};
use bulkhead_storage::{Pool, PoolOptions, Sizes, StartedVolume, VolumeSpec};
use bulkhead_types::{DomId, DomainName, DomainUuid, Layout, VolumeName};
use bulkhead_vchan::{Endpoints, Transport};

/// Enough for a small system under emulation.
const MEMORY_MIB: u32 = 256;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "agent") {
        return agent::serve();
    }
    let [kind, template, pool, chosen @ ..] = arguments.as_slice() else {
        return usage();
    };
    let kind = match kind.as_str() {
        "pv" => GuestKind::Pv,
        "pvh" => GuestKind::Pvh,
        _ => return usage(),
    };
    match play(kind, template.as_ref(), pool.as_ref(), chosen) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("caused by: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// Plays the chosen cases and says whether all passed.
fn play(
    kind: GuestKind,
    template: &Path,
    pool_path: &Path,
    chosen: &[String],
) -> Result<bool, Box<dyn Error>> {
    let pool = Pool::reflink(pool_path, PoolOptions::new("hypervisor-conformance"))?;
    // What an earlier run left when it was killed.
    pool.repair(&[])?;
    let subject = subject(kind, template, &pool)?;
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
    drop(pool);
    fs::remove_dir_all(pool_path)?;
    Ok(all_passed)
}

fn usage() -> ExitCode {
    eprintln!("error: usage: hypervisor-conformance pv|pvh TEMPLATE POOL [CASE]…");
    ExitCode::from(2)
}

fn subject(kind: GuestKind, template: &Path, pool: &Pool) -> Result<Subject, Box<dyn Error>> {
    let base = DomainName::parse("conformance-template")?;
    let image = template.join("root.img");
    let of_template = VolumeSpec::of_template(Sizes::default());
    pool.create(&base, &of_template, &[(VolumeName::Root, &image)])?;
    let guest = |number: u32| -> Result<GuestSpec, Box<dyn Error>> {
        let name = DomainName::parse(&format!("conformance-{number}"))?;
        let volumes = VolumeSpec::of_app(&base, Sizes::default());
        pool.create(&name, &volumes, &[])?;
        let disk = |volume: StartedVolume| Disk {
            volume: volume.name,
            path: volume.path,
            read_only: false,
        };
        let disks = pool.start(&name, &volumes)?.into_iter().map(disk);
        Ok(GuestSpec {
            uuid: DomainUuid::parse(&format!("c0ffee00-0000-4000-8000-00000000000{number}"))?,
            name,
            kind,
            memory_mib: MEMORY_MIB,
            vcpus: 1,
            kernel: Some(Kernel {
                image: template.join("vmlinuz"),
                ramdisk: Some(template.join("initrd.img")),
                command_line: "root=/dev/xvda rw console=hvc0".into(),
            }),
            disks: disks.collect(),
        })
    };
    Ok(Subject {
        open: Box::new(|| Hypervisor::xen(&Layout::below("/"))),
        guests: [guest(1)?, guest(2)?],
        endpoints: Endpoints::new(Transport::Xen, DomId::DOM0)?,
    })
}
