// SPDX-License-Identifier: GPL-3.0-or-later
//! The second stage: the Debian tree with our additions as a file system, and what a domain
//! needs beside it to boot.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::overlay::{Accounts, Overlay};
use crate::tool::output;
use crate::{BuildError, Cache, Digest, Hasher, Manifest, Recipe};
use crate::{archive, debian, ext4, initramfs, manifest, modules::Modules};

/// Changes when the way of making the image changes.
const METHOD: &str = "1";

/// Paths of the tree that no image keeps: they tell when and where it was made, or cost room.
const NEVER_KEPT: [&str; 12] = [
    "dev/*",
    "etc/hostname",
    "etc/machine-id",
    "etc/resolv.conf",
    "run/*",
    "tmp/*",
    "usr/lib/modules/*",
    "var/cache/apt/*",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/*",
    "var/lib/apt/lists/*",
    "var/log/*",
];

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

/// Features of the file system: named one by one, so that the machine's own defaults do not
/// matter, and without those that add checksums to inodes or leave work to the first mount.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,flex_bg,\
                        sparse_super,large_file,huge_file,dir_nlink,extra_isize";

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
    file_system(recipe, tar, &overlay, &parts.kernel, &work, &root)?;
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
    write(
        "vmlinuz",
        &parts.read(&format!("boot/vmlinuz-{}", parts.kernel))?,
    )?;
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

fn plain_name(path: &str) -> &str {
    path.strip_suffix(".xz").unwrap_or(path)
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

/// The few files of the tree that are read here rather than copied.
struct Parts {
    folder: PathBuf,
    kernel: String,
}

impl Parts {
    fn unpack(tar: &Path, folder: &Path) -> Result<Self, BuildError> {
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

    fn read(&self, path: &str) -> Result<Vec<u8>, BuildError> {
        let path = self.folder.join(path);
        fs::read(&path).map_err(BuildError::io("read", &path))
    }

    fn text(&self, path: &str) -> Result<String, BuildError> {
        Ok(String::from_utf8_lossy(&self.read(path)?).into_owned())
    }

    fn modules(&self) -> Result<Modules, BuildError> {
        let list = |name| self.text(&format!("usr/lib/modules/{}/{name}", self.kernel));
        Ok(Modules::parse(
            &list("modules.dep")?,
            &list("modules.builtin")?,
        ))
    }

    fn closure(&self, modules: &Modules, wanted: &[String]) -> Result<Vec<String>, BuildError> {
        modules.closure(wanted).map_err(|name| BuildError::Missing {
            what: format!("the module {name} of the kernel {}", self.kernel),
            way_out: "correct the recipe's list of modules".into(),
        })
    }

    /// A module, unpacked: busybox cannot load packed ones.
    fn module(&self, path: &str) -> Result<Vec<u8>, BuildError> {
        let place = format!("usr/lib/modules/{}/{path}", self.kernel);
        if path.ends_with(".xz") {
            return output(Command::new("xz").arg("-dc").arg(self.folder.join(place)));
        }
        self.read(&place)
    }

    fn hypervisor(&self) -> Result<PathBuf, BuildError> {
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

/// What `mkfs.ext4` is told.
pub(crate) struct FileSystem<'a> {
    pub tree: &'a Path,
    pub image: &'a Path,
    /// In MiB.
    pub size: u64,
    pub uuid: &'a str,
    pub date: u32,
}

const MAKE: &str = "PATH=$PATH:/usr/sbin:/sbin; export PATH
export E2FSPROGS_FAKE_TIME=\"$date\"
mkfs.ext4 -q -F -O \"$features\" -m 0 -J size=4 -d \"$tree\" -U \"$uuid\" \\
    -E hash_seed=\"$uuid\",root_owner=0:0,no_copy_xattrs \"$image\" \"${size}M\"
";

const UNPACK: &str = "set -e
umask 022
mkdir \"$tree\"
# Exclusions are arguments, so that their wildcards stay what they are.
tar -xf \"$tar\" -C \"$tree\" --numeric-owner --anchored --wildcards \"$@\"
tar -xf \"$additions\" -C \"$tree\" --numeric-owner
if [ -x \"$tree/usr/sbin/depmod\" ]; then chroot \"$tree\" /usr/sbin/depmod \"$kernel\"; fi
";

#[cfg(test)]
pub(crate) fn make_file_system(wanted: &FileSystem<'_>) -> Result<(), BuildError> {
    let mut command = Command::new("sh");
    command.args(["-c", MAKE]);
    tell(&mut command, wanted);
    output(&mut command)?;
    ext4::level_times(wanted.image, wanted.date)
}

fn tell(command: &mut Command, wanted: &FileSystem<'_>) {
    command
        .env("date", wanted.date.to_string())
        .env("features", FEATURES)
        .env("tree", wanted.tree)
        .env("image", wanted.image)
        .env("uuid", wanted.uuid)
        .env("size", wanted.size.to_string());
}

/// Unpacks the tree with the additions over it and makes the file system: in one go, because
/// without root all of it must happen in one user name space.
fn file_system(
    recipe: &Recipe,
    tar: &Path,
    overlay: &Overlay,
    kernel: &str,
    work: &Path,
    image: &Path,
) -> Result<(), BuildError> {
    let additions = work.join("additions.tar");
    let mut file = fs::File::create(&additions).map_err(BuildError::io("create", &additions))?;
    archive::write(&mut file, overlay.entries(), recipe.image.date)
        .map_err(BuildError::io("write", &additions))?;
    let tree = work.join("tree");
    let mut command = as_root()?;
    command.args([
        "sh",
        "-c",
        &format!("{UNPACK}{MAKE}rm -rf \"$tree\"\n"),
        "sh",
    ]);
    let omitted = NEVER_KEPT
        .into_iter()
        .chain(recipe.image.omit.iter().map(String::as_str));
    command.args(omitted.map(|path| format!("--exclude=./{path}")));
    command
        .env("tar", tar)
        .env("additions", &additions)
        .env("kernel", kernel);
    tell(
        &mut command,
        &FileSystem {
            tree: &tree,
            image,
            size: recipe.image.size,
            uuid: &recipe.image.uuid,
            date: recipe.image.date,
        },
    );
    output(&mut command).map(drop)
}

/// A command that runs another as root, or as the root of a user name space.
fn as_root() -> Result<Command, BuildError> {
    let me = Path::new("/proc/self");
    let user = fs::metadata(me).map_err(BuildError::io("read", me))?.uid();
    if user == 0 {
        return Ok(Command::new("env"));
    }
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--map-auto"]);
    Ok(command)
}
