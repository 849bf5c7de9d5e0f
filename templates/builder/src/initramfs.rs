// SPDX-License-Identifier: GPL-3.0-or-later
//! The small initramfs: busybox, the modules that the root file system needs, and a script.
//!
//! The script is the recipe's; it finds the modules in `/modules`, to be loaded in the order
//! of `/modules/order`, and applets under their own names in `/bin`.

use crate::cpio::Cpio;

/// Applets that scripts may use.
const APPLETS: [&str; 12] = [
    "sh",
    "cat",
    "echo",
    "insmod",
    "ls",
    "mkdir",
    "mount",
    "reboot",
    "sleep",
    "switch_root",
    "umount",
    "uname",
];

/// The archive, not compressed: unpacking would take longer than reading it.
///
/// `modules` are names and contents in the order of loading.
pub fn make(busybox: &[u8], init: &[u8], modules: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut cpio = Cpio::default();
    for folder in ["bin", "dev", "modules", "proc", "root", "sys"] {
        cpio.folder(folder);
    }
    cpio.device("dev/console", 5, 1);
    cpio.device("dev/null", 1, 3);
    cpio.file("bin/busybox", 0o755, busybox);
    for applet in APPLETS {
        cpio.link(&format!("bin/{applet}"), "busybox");
    }
    let mut order = String::new();
    for (name, content) in modules {
        cpio.file(&format!("modules/{name}"), 0o644, content);
        order.push_str(name);
        order.push('\n');
    }
    cpio.file("modules/order", 0o644, order.as_bytes());
    cpio.file("init", 0o755, init);
    cpio.finish()
}
