// SPDX-License-Identifier: GPL-3.0-or-later
//! From the Debian tree and our additions to an ext4 image, as root or as the root of a user
//! name space.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::overlay::Overlay;
use crate::tool::output;
use crate::{BuildError, Recipe, archive};

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

/// Features of the file system: named one by one, so that the machine's own defaults do not
/// matter, and without those that add checksums to inodes or leave work to the first mount.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,flex_bg,\
                        sparse_super,large_file,huge_file,dir_nlink,extra_isize";

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
pub(crate) fn of_folder(wanted: &FileSystem<'_>) -> Result<(), BuildError> {
    let mut command = Command::new("sh");
    command.args(["-c", MAKE]);
    tell(&mut command, wanted);
    output(&mut command)?;
    crate::ext4::level_times(wanted.image, wanted.date)
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
pub(crate) fn make(
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
