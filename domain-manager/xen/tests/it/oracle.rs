// SPDX-License-Identifier: MIT OR Apache-2.0
//! What we write for `xl` against `xl`'s own parser: libxlutil, called by a C program that is
//! compiled here. Needs `cc` and `libxen-dev`, and fails without them.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use bulkhead_types::{DomainName, DomainUuid};
use bulkhead_xen::xl::{ConfigText, DeviceName, Disk, DiskSource, DomainConfig, Kind};
use proptest::prelude::*;
use tempfile::TempDir;

/// The compiled oracle, made once per process.
fn oracle() -> PathBuf {
    static BUILT: OnceLock<TempDir> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/oracle.c");
        let mut compiler = Command::new("cc");
        compiler
            .arg("-o")
            .arg(folder.path().join("oracle"))
            .arg(source)
            .args(["-lxlutil", "-lxenlight"]);
        let compiled = compiler.status().expect("cc is installed (package gcc)");
        assert!(compiled.success(), "install libxen-dev");
        folder
    });
    folder.path().join("oracle")
}

/// What `xl`'s parser makes of a text; `None` when it rejects it.
fn understood(text: &str) -> Option<String> {
    let mut child = Command::new(oracle())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).unwrap())
}

/// What it should make of it.
fn meant(config: &DomainConfig) -> String {
    let text = |value: Option<&str>| value.unwrap_or("(none)").to_owned();
    let kind = match config.kind {
        Kind::Pv => "pv",
        Kind::Pvh => "pvh",
    };
    let uuid = config.uuid.as_ref().map(DomainUuid::to_string);
    let mut lines = vec![
        format!("name={}", config.name),
        format!("uuid={}", text(uuid.as_deref())),
        format!("type={kind}"),
        format!("kernel={}", config.kernel.as_str()),
        format!(
            "ramdisk={}",
            text(config.ramdisk.as_ref().map(ConfigText::as_str))
        ),
        format!("cmdline={}", config.command_line.as_str()),
    ];
    for event in ["poweroff", "reboot", "watchdog", "crash"] {
        lines.push(format!("on_{event}=destroy"));
    }
    lines.push(format!("memory={}", config.memory_mib));
    lines.push(format!("vcpus={}", config.vcpus));
    lines.push(format!("disks={}", config.disks.len()));
    for disk in &config.disks {
        let (script, target) = match &disk.source {
            DiskSource::Device(path) => ("(none)", path),
            DiskSource::File(path) => ("block-bulkhead", path),
        };
        let (device, writable) = (disk.device.as_str(), i32::from(!disk.read_only));
        lines.push(format!(
            "{device} raw {script} {writable} {}",
            target.as_str()
        ));
    }
    lines.join("\n") + "\n"
}

fn path() -> impl Strategy<Value = ConfigText> {
    // Anything printable, of which the type takes what is safe.
    "/[ -~]{0,30}".prop_filter_map("not a safe path", |text| ConfigText::path(&text).ok())
}

fn disk() -> impl Strategy<Value = Disk> {
    (path(), "xvd[a-z]", any::<bool>(), any::<bool>()).prop_map(
        |(path, device, file, read_only)| Disk {
            source: if file {
                DiskSource::File(path)
            } else {
                DiskSource::Device(path)
            },
            device: DeviceName::parse(&device).unwrap(),
            read_only,
        },
    )
}

fn config() -> impl Strategy<Value = DomainConfig> {
    let name = "[A-Za-z][A-Za-z0-9_.-]{0,20}"
        .prop_filter_map("reserved", |name| DomainName::parse(&name).ok());
    let command_line =
        "[ -~]{0,60}".prop_filter_map("not a safe text", |text| ConfigText::text(&text).ok());
    let uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
        .prop_map(|text| DomainUuid::parse(&text).unwrap());
    let kind = prop_oneof![Just(Kind::Pv), Just(Kind::Pvh)];
    let disks = proptest::collection::vec(disk(), 0..5);
    let boot = (path(), proptest::option::of(path()), command_line);
    (
        name,
        proptest::option::of(uuid),
        kind,
        1..1_000_000u32,
        1..512u32,
        boot,
        disks,
    )
        .prop_map(
            |(name, uuid, kind, memory_mib, vcpus, (kernel, ramdisk, command_line), disks)| {
                DomainConfig {
                    name,
                    uuid,
                    kind,
                    memory_mib,
                    vcpus,
                    kernel,
                    ramdisk,
                    command_line,
                    disks,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn xl_reads_what_we_meant(config in config()) {
        let text = config.to_string();
        prop_assert_eq!(understood(&text), Some(meant(&config)), "{}", text);
    }
}

/// The oracle must be able to object.
#[test]
fn the_parser_rejects_and_misreads_what_our_types_keep_out() {
    assert_eq!(understood("name = \"a"), None);
    let injected = "name = \"a\"\nmemory = 1\ndisk = [ \"format=raw,vdev=xvda,access=ro,target=/x\",\"vdev=xvdb,target=/etc/shadow\" ]\n";
    assert!(understood(injected).unwrap().contains("disks=2"));
}
