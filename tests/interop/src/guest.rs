// SPDX-License-Identifier: GPL-3.0-or-later
//! The guest of the cases: a template with our two programs in it, made by `xl` alone.

use std::cell::Cell;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use bulkhead_box::setup::TEMPLATE;
use bulkhead_box::{Machine, Run};
use bulkhead_types::DomainName;
use bulkhead_xen::xl::{ConfigText, DeviceName, Disk, DiskSource, DomainConfig, Kind};

/// Our program, in dom0 and in the guest.
pub const OURS: &str = "/usr/lib/bulkhead-box/vchan-peer";
/// libxenvchan's.
pub const THEIRS: &str = "/usr/lib/bulkhead-box/vchan-peer-c";

const NAME: &str = "vchan-interop";
const IMAGE: &str = "/var/lib/bulkhead/vchan-interop.img";
const CONFIG: &str = "/run/vchan-interop.cfg";
const BOOT: Duration = Duration::from_secs(240);

/// What busybox's init does in this guest.
const INITTAB: &str =
    "::sysinit:/usr/lib/bulkhead/boot\n::respawn:/usr/lib/bulkhead-box/vchan-peer obey\n";

/// The running guest.
pub struct Guest<'a> {
    pub machine: &'a Machine,
    pub id: u32,
    port: Cell<u32>,
}

impl<'a> Guest<'a> {
    /// Makes and starts it, and returns when it takes orders.
    pub fn start(machine: &'a Machine, programs: &Path) -> anyhow::Result<Self> {
        let template = format!("/var/lib/bulkhead/import/{TEMPLATE}");
        let folder = tempfile::tempdir()?;
        let compiled = folder.path().join("vchan-peer-c");
        compile(&compiled)?;
        machine.put_file(&programs.join("vchan-peer"), OURS, 0o755)?;
        machine.put_file(&compiled, THEIRS, 0o755)?;
        machine.put("/run/vchan-inittab", 0o644, INITTAB.as_bytes())?;
        let prepare = format!(
            "set -e
            cp --reflink=auto {template}/root.img {IMAGE}
            mkdir -p /run/vchan-mnt
            mount -o loop {IMAGE} /run/vchan-mnt
            trap 'umount /run/vchan-mnt' EXIT
            mkdir -p /run/vchan-mnt/usr/lib/bulkhead-box
            cp {OURS} {THEIRS} /run/vchan-mnt/usr/lib/bulkhead-box/
            cp /run/vchan-inittab /run/vchan-mnt/etc/inittab"
        );
        run(machine, Run::script(&prepare).timeout(BOOT))?;
        machine.put(CONFIG, 0o600, config(&template)?.to_string().as_bytes())?;
        run(
            machine,
            Run::new(&["xl", "create", "-q", "-e", CONFIG]).timeout(BOOT),
        )?;
        let id = run(machine, Run::new(&["xl", "domid", NAME]))?;
        let id = id.trim().parse().context("the guest's id")?;
        let guest = Self {
            machine,
            id,
            port: Cell::new(1000),
        };
        run(machine, guest.order("true").timeout(BOOT)).context("the guest does not come up")?;
        Ok(guest)
    }

    /// Ends it, if a case has not, and removes its files.
    pub fn remove(self) -> anyhow::Result<()> {
        let script =
            format!("xl destroy {NAME} 2>/dev/null; rm -f {IMAGE} {CONFIG} /run/vchan-met.*");
        run(self.machine, Run::script(&script)).map(drop)
    }

    /// A command in the guest.
    pub fn order(&self, command: &str) -> Run {
        Run::new(&[OURS, "tell", &self.id.to_string(), command])
    }

    /// A port nobody used.
    pub fn next_port(&self) -> u32 {
        self.port.set(self.port.get() + 1);
        self.port.get()
    }

    /// The port given last.
    pub fn last_port(&self) -> u32 {
        self.port.get()
    }
}

fn run(machine: &Machine, run: Run) -> anyhow::Result<String> {
    let output = machine.run(run)?;
    ensure!(
        output.code == 0,
        "it ended with {}: {}",
        output.code,
        output.all()
    );
    Ok(output.text())
}

fn config(template: &str) -> anyhow::Result<DomainConfig> {
    let text = |text: &str| ConfigText::path(text);
    Ok(DomainConfig {
        name: DomainName::parse(NAME)?,
        uuid: None,
        kind: Kind::Pv,
        memory_mib: 256,
        vcpus: 1,
        kernel: text(&format!("{template}/vmlinuz"))?,
        ramdisk: Some(text(&format!("{template}/initrd.img"))?),
        command_line: ConfigText::text(&format!(
            "root=/dev/xvda rw console=hvc0 bulkhead.name={NAME}"
        ))?,
        disks: vec![Disk {
            source: DiskSource::File(text(IMAGE)?),
            device: DeviceName::parse("xvda")?,
            read_only: false,
        }],
    })
}

/// Builds the C side. The stable libraries are linked into it, so that it runs on any release.
fn compile(to: &Path) -> anyhow::Result<()> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/peer/vchan-peer.c");
    let libraries = [
        "-lxenvchan",
        "-lxengnttab",
        "-lxenevtchn",
        "-lxenstore",
        "-lxentoolcore",
        "-lxentoollog",
    ];
    let mut compiler = Command::new("cc");
    compiler
        .args(["-O2", "-Wall", "-static", "-o"])
        .arg(to)
        .arg(source)
        .args(libraries)
        .args(["-lpthread", "-ldl"]);
    let output = compiler
        .output()
        .context("cc is not installed (package gcc)")?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "install libxen-dev; cc said: {words}"
    );
    Ok(())
}
