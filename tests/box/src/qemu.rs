// SPDX-License-Identifier: GPL-3.0-or-later
//! QEMU with Xen: its command line and its life.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{BoxError, wire};

/// How many lines of the serial console an error shows.
const CONSOLE_LINES: usize = 25;

/// How long QEMU may take to open its sockets.
const START: Duration = Duration::from_secs(20);

/// Where the picture goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Display {
    /// Nowhere; the monitor can still take pictures.
    #[default]
    Headless,
    /// A window on the host's desktop.
    Window,
}

/// What QEMU is started with.
pub struct Parts<'a> {
    /// The folder with `xen`, `vmlinuz`, `initrd.img` and `root.img` of dom0.
    pub dom0: &'a Path,
    /// The disk with the templates.
    pub data: &'a Path,
    /// Memory of the machine in MiB.
    pub memory: u32,
    /// Memory of dom0 in MiB.
    pub dom0_memory: u32,
    /// Where the picture goes.
    pub display: Display,
    /// The folder for sockets and the console's record.
    pub folder: &'a Path,
}

/// How instructions are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// By the processor, with its own virtualisation.
    Kvm,
    /// By emulation: slow, and with a processor whose traps must be avoided.
    Emulation,
}

impl Accelerator {
    /// The best that this machine has. A `/dev/kvm` is not enough: without the processor's flag
    /// it makes machines in which no stock kernel runs.
    pub fn of_host() -> Self {
        let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let flag = flags
            .split_whitespace()
            .any(|word| word == "vmx" || word == "svm");
        if flag
            && File::options()
                .read(true)
                .write(true)
                .open("/dev/kvm")
                .is_ok()
        {
            return Self::Kvm;
        }
        Self::Emulation
    }
}

/// The arguments for QEMU.
pub fn arguments(parts: &Parts<'_>, accelerator: Accelerator) -> Vec<String> {
    let file = |name: &str| parts.dom0.join(name).display().to_string();
    let socket = |name: &str| parts.folder.join(name).display().to_string();
    let (accelerator, processor, switches) = match accelerator {
        Accelerator::Kvm => ("kvm", "host", ""),
        // QEMU 7.2 has a fault in SMAP that kills dom0, and its RDTSCP stops PVH guests. Xen's
        // lazy switching of vector registers mixes them up under any QEMU's emulation.
        Accelerator::Emulation => (
            "tcg",
            "max,-smap,-smep,-rdtscp",
            " smep=0 smap=0 spec-ctrl=eager-fpu",
        ),
    };
    // There is nothing in fresh memory that would have to be wiped. Xen's tables of what domains hold
    // are longer than what its log usually takes.
    let xen = format!(
        "dom0_mem={}M,max:{0}M com1=115200 console=com1 loglvl=warning conring_size=1M noreboot \
         bootscrub=0{switches}",
        parts.dom0_memory
    );
    let modules = format!(
        "{} console=hvc0 quiet root=/dev/vda,{}",
        file("vmlinuz"),
        file("initrd.img")
    );
    let disk = |path: String| format!("file={path},if=virtio,format=raw,cache=unsafe,snapshot=on");
    let display = match parts.display {
        Display::Headless => "none",
        Display::Window => "gtk,show-cursor=on",
    };
    let owned = |words: &[&str]| {
        words
            .iter()
            .map(|&word| word.to_owned())
            .collect::<Vec<_>>()
    };
    let mut list = owned(&["-machine", "q35", "-accel", accelerator, "-cpu", processor]);
    list.extend(owned(&["-smp", "2", "-m", &parts.memory.to_string()]));
    list.extend(owned(&[
        "-kernel",
        &file("xen"),
        "-append",
        &xen,
        "-initrd",
        &modules,
    ]));
    list.extend(owned(&["-drive", &disk(file("root.img"))]));
    list.extend(owned(&["-drive", &disk(parts.data.display().to_string())]));
    list.extend(owned(&["-nodefaults", "-no-reboot", "-display", display]));
    list.extend(owned(&["-device", "VGA,xres=1280,yres=800,edid=on"]));
    list.extend(owned(&[
        "-device",
        "virtio-keyboard-pci",
        "-device",
        "virtio-tablet-pci",
    ]));
    list.extend(owned(&["-serial", &format!("file:{}", socket("console"))]));
    let port = format!("virtserialport,chardev=box,name={}", wire::PORT);
    let chardev = format!("socket,id=box,path={},server=on,wait=off", socket("agent"));
    list.extend(owned(&[
        "-device",
        "virtio-serial-pci",
        "-chardev",
        &chardev,
    ]));
    list.extend(owned(&["-device", &port]));
    list.extend(owned(&[
        "-qmp",
        &format!("unix:{},server=on,wait=off", socket("monitor")),
    ]));
    list
}

/// A running QEMU; killed when dropped.
pub struct Qemu {
    child: Child,
    folder: PathBuf,
}

impl Qemu {
    /// Starts QEMU and waits until its sockets can be connected to.
    pub fn start(parts: &Parts<'_>) -> Result<Self, BoxError> {
        let errors = parts.folder.join("errors");
        let file = File::create(&errors).map_err(BoxError::io("create", &errors))?;
        // If this process is killed, nobody is left to drop the value.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"])
            .args(arguments(parts, Accelerator::of_host()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|error| BoxError::Qemu {
                said: error.to_string(),
            })?;
        let mut qemu = Self {
            child,
            folder: parts.folder.into(),
        };
        let end = Instant::now() + START;
        while !qemu.socket("agent").exists() || !qemu.socket("monitor").exists() {
            if qemu.ended() || Instant::now() > end {
                let mut said = fs::read_to_string(&errors).unwrap_or_default();
                if said.contains("failed to execute") {
                    said = "it is not installed: apt-get install qemu-system-x86".into();
                }
                return Err(BoxError::Qemu { said });
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(qemu)
    }

    /// The path of one of its sockets: `agent` or `monitor`.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Connects to the port that leads to box-agent.
    pub fn connect(&self) -> Result<UnixStream, BoxError> {
        let socket = self.socket("agent");
        UnixStream::connect(&socket).map_err(BoxError::io("connect to", socket))
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end, at most `timeout`.
    pub fn await_end(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + timeout;
        while Instant::now() < end {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(50));
        }
        None
    }

    /// The last lines of the serial console.
    pub fn console_tail(&self) -> String {
        tail(&self.folder.join("console"), CONSOLE_LINES)
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tail(path: &Path, lines: usize) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(length.saturating_sub(16 * 1024)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let list: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let from = list.len().saturating_sub(lines);
    list[from..]
        .iter()
        .map(|line| format!("  {}", line.trim_end()))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_under_emulation_avoids_every_known_trap() {
        let parts = Parts {
            dom0: Path::new("/dom0"),
            data: Path::new("/data.img"),
            memory: 4096,
            dom0_memory: 1536,
            display: Display::Headless,
            folder: Path::new("/run"),
        };
        let line = arguments(&parts, Accelerator::Emulation).join(" ");
        for needed in [
            "-cpu max,-smap,-smep,-rdtscp",
            "spec-ctrl=eager-fpu",
            "smep=0 smap=0",
            "file=/data.img,if=virtio,format=raw,cache=unsafe,snapshot=on",
            "-initrd /dom0/vmlinuz console=hvc0 quiet root=/dev/vda,/dom0/initrd.img",
        ] {
            assert!(line.contains(needed), "{needed} is not in {line}");
        }
    }

    #[test]
    fn a_tail_is_short_and_leaves_out_empty_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console");
        std::fs::write(&path, "one\n\ntwo\r\n\nthree\n").unwrap();
        insta::assert_snapshot!(tail(&path, 2), @r"
          two
          three
        ");
        assert_eq!(tail(Path::new("/no/such/file"), 2), "");
    }
}
