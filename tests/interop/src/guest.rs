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

/// The image that the guests' own are copied from.
const BASE: &str = "/var/lib/bulkhead/vchan-interop.base";
const BOOT: Duration = Duration::from_secs(240);

/// What busybox's init does in this guest.
const INITTAB: &str =
    "::sysinit:/usr/lib/bulkhead/boot\n::respawn:/usr/lib/bulkhead-box/vchan-peer obey\n";

/// A running guest.
pub struct Guest<'a> {
    pub machine: &'a Machine,
    pub id: u32,
    name: DomainName,
    port: Cell<u32>,
}

/// Brings both programs into dom0 and into a copy of the template.
pub fn prepare(machine: &Machine, programs: &Path) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let compiled = folder.path().join("vchan-peer-c");
    compile(&compiled)?;
    machine.put_file(&programs.join("vchan-peer"), OURS, 0o755)?;
    machine.put_file(&compiled, THEIRS, 0o755)?;
    machine.put("/run/vchan-inittab", 0o644, INITTAB.as_bytes())?;
    let prepare = format!(
        "set -e
        cp --reflink=auto {}/root.img {BASE}
        mkdir -p /run/vchan-mnt
        mount -o loop {BASE} /run/vchan-mnt
        trap 'umount /run/vchan-mnt' EXIT
        mkdir -p /run/vchan-mnt/usr/lib/bulkhead-box
        cp {OURS} {THEIRS} /run/vchan-mnt/usr/lib/bulkhead-box/
        cp /run/vchan-inittab /run/vchan-mnt/etc/inittab",
        template()
    );
    run(machine, Run::script(&prepare).timeout(BOOT)).map(drop)
}

/// Removes what [`prepare`] made.
pub fn clean(machine: &Machine) -> anyhow::Result<()> {
    let script = format!("rmdir /run/vchan-mnt && rm -f {BASE} /run/vchan-*");
    run(machine, Run::script(&script)).map(drop)
}

impl<'a> Guest<'a> {
    /// Makes and starts one, and returns when it takes orders.
    pub fn start(machine: &'a Machine, name: &str) -> anyhow::Result<Self> {
        let name = DomainName::parse(name)?;
        let (image, file) = (image(&name), file(&name));
        machine.put(&file, 0o600, config(&name)?.to_string().as_bytes())?;
        run(machine, Run::new(&["cp", "--reflink=auto", BASE, &image]))?;
        run(
            machine,
            Run::new(&["xl", "create", "-q", "-e", &file]).timeout(BOOT),
        )?;
        let id = run(machine, Run::new(&["xl", "domid", name.as_str()]))?;
        let id = id.trim().parse().context("the guest's id")?;
        let guest = Self {
            machine,
            id,
            name,
            port: Cell::new(1000),
        };
        run(machine, guest.order("true").timeout(BOOT)).context("the guest does not come up")?;
        Ok(guest)
    }

    /// Ends it, if a case has not, and removes its files.
    pub fn remove(self) -> anyhow::Result<()> {
        let (name, image, file) = (&self.name, image(&self.name), file(&self.name));
        let script = format!("xl destroy {name} 2>/dev/null; rm -f {image} {file}");
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

fn template() -> String {
    format!("/var/lib/bulkhead/import/{TEMPLATE}")
}

fn image(name: &DomainName) -> String {
    format!("/var/lib/bulkhead/{name}.img")
}

fn file(name: &DomainName) -> String {
    format!("/run/{name}.cfg")
}

fn config(name: &DomainName) -> anyhow::Result<DomainConfig> {
    let template = template();
    let text = |text: &str| ConfigText::path(text);
    Ok(DomainConfig {
        name: name.clone(),
        uuid: None,
        kind: Kind::Pv,
        memory_mib: 256,
        vcpus: 1,
        kernel: text(&format!("{template}/vmlinuz"))?,
        ramdisk: Some(text(&format!("{template}/initrd.img"))?),
        command_line: ConfigText::text(&format!(
            "root=/dev/xvda rw console=hvc0 bulkhead.name={name}"
        ))?,
        disks: vec![Disk {
            source: DiskSource::File(text(&image(name))?),
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
