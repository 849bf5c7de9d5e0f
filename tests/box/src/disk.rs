// SPDX-License-Identifier: GPL-3.0-or-later
//! dom0's second disk: an XFS, which can share blocks between files, with the finished
//! templates on it. It is mounted on `/var/lib/bulkhead`; a template lies in `import/NAME`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use template_builder::{BuildError, Built, Cache, Digest, Hasher, tool};

/// Size of the disk; the file is sparse.
const SIZE: u64 = 24 << 30;

/// Files of a template.
const FILES: [&str; 4] = ["root.img", "vmlinuz", "initrd.img", "manifest.json"];

/// The disk with `templates` (name, template) on it, from the cache or made now.
pub fn with_templates(
    cache: &Cache,
    templates: &[(&str, &Built)],
    progress: &dyn Fn(&str),
) -> Result<PathBuf, BuildError> {
    let mut hasher = Hasher::new()
        .add("method", "1")
        .add("size", SIZE.to_le_bytes());
    for (name, template) in templates {
        let manifest = Digest::of_file(&template.file("manifest.json"))?;
        hasher = hasher.add(name, manifest.to_string());
    }
    let entry = cache.entry("disk", "box-data", &hasher.finish(), |folder| {
        progress("box: making the disk with the templates");
        make(folder, templates)
    })?;
    Ok(entry.join("data.img"))
}

fn make(folder: &Path, templates: &[(&str, &Built)]) -> Result<(), BuildError> {
    let prototype = folder.join("prototype");
    fs::write(&prototype, prototype_of(templates)).map_err(BuildError::io("write", &prototype))?;
    let disk = folder.join("data.img");
    let file = File::create(&disk).map_err(BuildError::io("create", &disk))?;
    file.set_len(SIZE)
        .map_err(BuildError::io("create", &disk))?;
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "PATH=$PATH:/usr/sbin:/sbin; exec mkfs.xfs -q -m reflink=1 -p \"$1\" \"$2\"",
            "sh",
        ])
        .arg(&prototype)
        .arg(&disk);
    tool::output(&mut command)?;
    fs::remove_file(&prototype).map_err(BuildError::io("remove", &prototype))
}

/// What mkfs.xfs is to fill the file system with, in the form of its option `-p`.
fn prototype_of(templates: &[(&str, &Built)]) -> String {
    let mut text = String::from("/none\n0 0\nd--755 0 0\nimport d--755 0 0\n");
    for (name, template) in templates {
        text.push_str(&format!("{name} d--755 0 0\n"));
        for file in FILES {
            text.push_str(&format!(
                "{file} ---644 0 0 {}\n",
                template.file(file).display()
            ));
        }
        text.push_str("$\n");
    }
    text.push_str("$\n$\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_a_template_is_named_in_the_prototype() {
        let built = Built {
            folder: "/cache/x".into(),
        };
        insta::assert_snapshot!(prototype_of(&[("small", &built)]), @r"
        /none
        0 0
        d--755 0 0
        import d--755 0 0
        small d--755 0 0
        root.img ---644 0 0 /cache/x/root.img
        vmlinuz ---644 0 0 /cache/x/vmlinuz
        initrd.img ---644 0 0 /cache/x/initrd.img
        manifest.json ---644 0 0 /cache/x/manifest.json
        $
        $
        $
        ");
    }
}
