// SPDX-License-Identifier: GPL-3.0-or-later
//! Which kernel modules a module needs, and in which order they must be loaded: read from the
//! `modules.dep` and `modules.builtin` of a kernel package, as `modprobe` would.

use std::collections::{BTreeMap, BTreeSet};

/// The modules of one kernel.
pub struct Modules {
    /// Name to path (below the kernel's module folder) and the paths it depends on.
    loadable: BTreeMap<String, (String, Vec<String>)>,
    built_in: BTreeSet<String>,
}

/// The name of the module in `path`: `-` and `_` are the same to the kernel.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

impl Modules {
    /// Reads `modules.dep` and `modules.builtin`.
    pub fn parse(dependencies: &str, built_in: &str) -> Self {
        let loadable = dependencies
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(path, needs)| {
                let needs = needs.split_whitespace().map(str::to_owned).collect();
                (name_of(path), (path.to_owned(), needs))
            })
            .collect();
        Self {
            loadable,
            built_in: built_in.lines().map(name_of).collect(),
        }
    }

    /// The paths of the modules `wanted` and of everything that they need, in an order in which
    /// they can be loaded. What is built into the kernel is left out.
    ///
    /// # Errors
    /// The name that the kernel does not have.
    pub fn closure<'a>(&self, wanted: &'a [String]) -> Result<Vec<String>, &'a str> {
        let mut order: Vec<String> = Vec::new();
        for name in wanted {
            let plain = name.replace('-', "_");
            let Some((path, needs)) = self.loadable.get(&plain) else {
                if self.built_in.contains(&plain) {
                    continue;
                }
                return Err(name);
            };
            // `modules.dep` lists the deepest dependency last.
            for path in needs.iter().rev().chain([path]) {
                if !order.contains(path) {
                    order.push(path.clone());
                }
            }
        }
        Ok(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPENDENCIES: &str = "\
kernel/fs/ext4/ext4.ko.xz: kernel/fs/mbcache.ko.xz kernel/fs/jbd2/jbd2.ko.xz kernel/lib/crc16.ko.xz
kernel/fs/jbd2/jbd2.ko.xz:
kernel/fs/mbcache.ko.xz:
kernel/lib/crc16.ko.xz:
kernel/drivers/xen/xen-gntdev.ko.xz: kernel/lib/crc16.ko.xz
";

    #[test]
    fn what_a_module_needs_comes_before_it_and_only_once() {
        let modules = Modules::parse(DEPENDENCIES, "kernel/drivers/block/virtio_blk.ko\n");
        let wanted = ["ext4", "virtio-blk", "xen_gntdev"].map(String::from);
        assert_eq!(
            modules.closure(&wanted).unwrap(),
            [
                "kernel/lib/crc16.ko.xz",
                "kernel/fs/jbd2/jbd2.ko.xz",
                "kernel/fs/mbcache.ko.xz",
                "kernel/fs/ext4/ext4.ko.xz",
                "kernel/drivers/xen/xen-gntdev.ko.xz",
            ]
        );
    }

    #[test]
    fn a_module_that_the_kernel_does_not_have_is_named() {
        let modules = Modules::parse(DEPENDENCIES, "");
        assert_eq!(modules.closure(&["zfs".to_owned()]), Err("zfs"));
    }
}
