// SPDX-License-Identifier: GPL-3.0-or-later
//! The second stage: the Debian tree with our additions as a file system, and what a domain
//! needs beside it to boot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::overlay::{Accounts, Overlay};
use crate::parts::{Parts, plain_name};
use crate::tool::output;
use crate::{BuildError, Cache, Digest, Hasher, Manifest, Recipe};
use crate::{debian, ext4, filesystem, initramfs, kernel, manifest};

/// Changes when the way of making the image changes.
const METHOD: &str = "2";

/// Makes images from recipes.
pub struct Builder<'a> {
    /// Where finished stages are.
    pub cache: &'a Cache,
    /// Where cargo put our programs.
    pub programs: &'a Path,
    /// Hears what is being done.
    pub progress: &'a (dyn Fn(&str) + Sync),
}

/// A finished template, in the cache.
#[derive(Clone, Debug)]
pub struct Built {
    /// The folder with `root.img`, `vmlinuz`, `initrd.img`, `manifest.json` and, if the recipe
    /// wants it, `xen`.
    pub folder: PathBuf,
}

impl Built {
    /// A file of the template.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Builder<'_> {
    /// The template that `recipe` describes: from the cache, or made now.
    pub fn build(&self, recipe: &Recipe) -> Result<Built, BuildError> {
        let (name, date) = (&recipe.name, recipe.image.date);
        let tree = debian::tree(self.cache, name, &recipe.debian, date, self.progress)?;
        self.build_on(recipe, &tree, &debian::digest(&recipe.debian, date))
    }

    /// The template, on a tree (a tar file with the digest `identity`) that is there already.
    pub fn build_on(
        &self,
        recipe: &Recipe,
        tree: &Path,
        identity: &Digest,
    ) -> Result<Built, BuildError> {
        let overlay = Overlay::collect(recipe, self.programs)?;
        let init = recipe.resolve(&recipe.kernel.initramfs_init);
        let init = fs::read(&init).map_err(BuildError::io("read", &init))?;
        let digest = Hasher::new()
            .add("method", METHOD)
            .add("tree", identity.to_string())
            .add("recipe", recipe_text(recipe))
            .add("additions", overlay.digest().to_string())
            .add("init", &init)
            .finish();
        let folder = self.cache.entry("image", &recipe.name, &digest, |folder| {
            (self.progress)(&format!("{}: making the image", recipe.name));
            make(recipe, tree, identity, overlay, &init, folder)
        })?;
        Ok(Built { folder })
    }
}

fn recipe_text(recipe: &Recipe) -> Vec<u8> {
    serde_json::to_vec(recipe).unwrap_or_default()
}

fn make(
    recipe: &Recipe,
    tar: &Path,
    identity: &Digest,
    mut overlay: Overlay,
    init: &[u8],
    folder: &Path,
) -> Result<(), BuildError> {
    let inputs = [
        ("tree", identity.clone()),
        ("recipe", Digest::of(&recipe_text(recipe))),
        ("additions", overlay.digest()),
    ];
    let work = folder.join("work");
    let parts = Parts::unpack(tar, &work.join("parts"))?;
    let modules = parts.modules()?;
    for path in parts.closure(&modules, &recipe.kernel.modules)? {
        let to = format!("/usr/lib/modules/{}/{}", parts.kernel, plain_name(&path));
        overlay.file(&to, 0o644, parts.module(&path)?);
    }
    for list in [
        "modules.builtin",
        "modules.builtin.modinfo",
        "modules.order",
    ] {
        let to = format!("/usr/lib/modules/{}/{list}", parts.kernel);
        overlay.file(
            &to,
            0o644,
            parts.read(&format!("usr/lib/modules/{}/{list}", parts.kernel))?,
        );
    }
    add_accounts(recipe, &parts, &mut overlay)?;
    overlay.file("/etc/hostname", 0o644, format!("{}\n", recipe.name));
    overlay.file("/etc/machine-id", 0o644, "");

    let root = folder.join("root.img");
    filesystem::make(recipe, tar, &overlay, &parts.kernel, &work, &root)?;
    ext4::level_times(&root, recipe.image.date)?;

    let early = parts.closure(&modules, &recipe.kernel.initramfs_modules)?;
    let early = early.iter().map(|path| {
        let name = plain_name(path)
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        Ok((name, parts.module(path)?))
    });
    let early = early.collect::<Result<Vec<_>, BuildError>>()?;
    let ramdisk = initramfs::make(&parts.read("usr/bin/busybox")?, init, &early);
    let write = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, content).map_err(BuildError::io("write", &path))
    };
    write("initrd.img", &ramdisk)?;
    let packed = parts.read(&format!("boot/vmlinuz-{}", parts.kernel))?;
    write("vmlinuz", &kernel::unpack(packed, &work)?)?;
    let mut names = vec!["root.img", "initrd.img", "vmlinuz"];
    if recipe.kernel.hypervisor {
        let packed = parts.hypervisor()?;
        write(
            "xen",
            &output(Command::new("gzip").arg("-dc").arg(&packed))?,
        )?;
        names.push("xen");
    }
    let outputs = names.into_iter().map(|name| {
        let digest = Digest::of_file(&folder.join(name))?;
        Ok((name.to_owned(), digest.to_string()))
    });
    let manifest = Manifest {
        version: manifest::VERSION,
        name: recipe.name.clone(),
        kernel: parts.kernel.clone(),
        inputs: inputs
            .map(|(name, digest)| (name.to_owned(), digest.to_string()))
            .into(),
        outputs: outputs.collect::<Result<_, BuildError>>()?,
        packages: manifest::packages(&parts.text("var/lib/dpkg/status")?),
    };
    let text = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    write("manifest.json", &text)?;
    fs::remove_dir_all(&work).map_err(BuildError::io("remove", &work))
}

fn add_accounts(recipe: &Recipe, parts: &Parts, overlay: &mut Overlay) -> Result<(), BuildError> {
    let mut accounts = Accounts {
        passwd: parts.text("etc/passwd")?,
        group: parts.text("etc/group")?,
        shadow: parts.text("etc/shadow")?,
    };
    for user in &recipe.user {
        accounts.add(user).map_err(|group| BuildError::Missing {
            what: format!("the group {group} of the user {}", user.name),
            way_out: "name one that Debian has".into(),
        })?;
    }
    overlay.file("/etc/passwd", 0o644, accounts.passwd);
    overlay.file("/etc/group", 0o644, accounts.group);
    overlay.file("/etc/shadow", 0o600, accounts.shadow);
    Ok(())
}
