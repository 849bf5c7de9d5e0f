// SPDX-License-Identifier: GPL-3.0-or-later
//! The few files of a Debian tree that are read here rather than copied: kernel, hypervisor,
//! modules, accounts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::BuildError;
use crate::modules::Modules;
use crate::tool::output;

/// Parts of the tree that this stage looks at.
const NEEDED: [&str; 8] = [
    "./boot/vmlinuz-*",
    "./boot/xen-*.gz",
    "./etc/group",
    "./etc/passwd",
    "./etc/shadow",
    "./usr/bin/busybox",
    "./usr/lib/modules/*",
    "./var/lib/dpkg/status",
];

/// A module's path once it is unpacked.
pub(crate) fn plain_name(path: &str) -> &str {
    path.strip_suffix(".xz").unwrap_or(path)
}

/// The few files of the tree that are read here rather than copied.
pub(crate) struct Parts {
    folder: PathBuf,
    /// The version of the newest kernel in the tree.
    pub kernel: String,
}

impl Parts {
    /// Takes them out of the tree `tar` into `folder`.
    pub fn unpack(tar: &Path, folder: &Path) -> Result<Self, BuildError> {
        fs::create_dir_all(folder).map_err(BuildError::io("create", folder))?;
        let mut command = Command::new("tar");
        command.args([
            "--no-same-owner",
            "--no-same-permissions",
            "--wildcards",
            "-xf",
        ]);
        command.arg(tar).arg("-C").arg(folder).args(NEEDED);
        // A tree without a hypervisor lacks one of the patterns; what is really missing is
        // noticed when it is read.
        let unpacked = output(&mut command);
        let list = folder.join("usr/lib/modules");
        let entries = fs::read_dir(&list).ok().into_iter().flatten().flatten();
        let mut kernels: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        kernels.sort();
        match kernels.pop() {
            Some(kernel) => Ok(Self {
                folder: folder.into(),
                kernel,
            }),
            None => {
                unpacked?;
                Err(BuildError::Missing {
                    what: "a kernel in the Debian tree".into(),
                    way_out: "add `linux-image-amd64` to the recipe's packages".into(),
                })
            }
        }
    }

    /// The content of the file `path` of the tree.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, BuildError> {
        let path = self.folder.join(path);
        fs::read(&path).map_err(BuildError::io("read", &path))
    }

    /// The same as text.
    pub fn text(&self, path: &str) -> Result<String, BuildError> {
        Ok(String::from_utf8_lossy(&self.read(path)?).into_owned())
    }

    /// The kernel's modules and what they need.
    pub fn modules(&self) -> Result<Modules, BuildError> {
        let list = |name| self.text(&format!("usr/lib/modules/{}/{name}", self.kernel));
        Ok(Modules::parse(
            &list("modules.dep")?,
            &list("modules.builtin")?,
        ))
    }

    /// The paths of `wanted` and what they need, in the order of loading.
    pub fn closure(&self, modules: &Modules, wanted: &[String]) -> Result<Vec<String>, BuildError> {
        modules.closure(wanted).map_err(|name| BuildError::Missing {
            what: format!("the module {name} of the kernel {}", self.kernel),
            way_out: "correct the recipe's list of modules".into(),
        })
    }

    /// A module, unpacked: busybox cannot load packed ones.
    pub fn module(&self, path: &str) -> Result<Vec<u8>, BuildError> {
        let place = format!("usr/lib/modules/{}/{path}", self.kernel);
        if path.ends_with(".xz") {
            return output(Command::new("xz").arg("-dc").arg(self.folder.join(place)));
        }
        self.read(&place)
    }

    /// Where the packed hypervisor was put.
    pub fn hypervisor(&self) -> Result<PathBuf, BuildError> {
        let boot = self.folder.join("boot");
        let entries = fs::read_dir(&boot).map_err(BuildError::io("read", &boot))?;
        let is_xen = |path: &PathBuf| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            name.starts_with("xen-") && name.ends_with(".gz")
        };
        let mut found = entries.flatten().map(|entry| entry.path()).filter(is_xen);
        found.next().ok_or_else(|| BuildError::Missing {
            what: "the hypervisor in the Debian tree".into(),
            way_out: "add `xen-system-amd64` to the recipe's packages".into(),
        })
    }
}
