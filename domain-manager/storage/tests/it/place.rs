// SPDX-License-Identifier: GPL-3.0-or-later
//! Where pools of the tests lie, and how their volumes are written and read.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use bulkhead_storage::{Pool, PoolOptions};
use bulkhead_types::DomainName;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

/// Names a folder on XFS or btrfs for those who cannot mount one.
const REFLINK_FOLDER: &str = "BULKHEAD_TEST_REFLINK";

pub const OWNER: &str = "the tests' database";

/// Which kind of pool a story is played on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Images,
    Folders,
}

/// A folder for one pool; everything is gone with it, mounts and loop devices included.
pub struct Place {
    pub kind: Kind,
    folder: TempDir,
    mounted: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        // First the XFS, then the memory that holds its image.
        for _ in 0..if self.mounted { 2 } else { 0 } {
            let _ = umount2(self.folder.path(), MntFlags::MNT_DETACH);
        }
    }
}

impl Place {
    pub fn new(kind: Kind) -> Self {
        let shared = match kind {
            Kind::Images => reflink_folder(),
            Kind::Folders => Some(TempDir::new().unwrap()),
        };
        match shared {
            Some(folder) => Self {
                kind,
                folder,
                mounted: false,
            },
            None => Self::small(),
        }
    }

    /// A place for images with little space.
    pub fn small() -> Self {
        Self {
            kind: Kind::Images,
            folder: mounted_xfs(),
            mounted: true,
        }
    }

    pub fn pool_path(&self) -> PathBuf {
        self.folder.path().join("pool")
    }

    pub fn open(&self) -> Pool {
        self.open_with(PoolOptions::new(OWNER))
    }

    pub fn open_with(&self, options: PoolOptions) -> Pool {
        match self.kind {
            Kind::Images => Pool::reflink(&self.pool_path(), options).unwrap(),
            Kind::Folders => Pool::directory(&self.pool_path(), options).unwrap(),
        }
    }

    /// Leaves a mark in a volume, as a guest would.
    pub fn write(&self, volume: &Path, mark: u8) {
        match self.kind {
            Kind::Images => {
                let image = OpenOptions::new().write(true).open(volume).unwrap();
                image.write_all_at(&[mark], 0).unwrap();
            }
            Kind::Folders => fs::write(volume.join("mark"), [mark]).unwrap(),
        }
    }

    /// The mark in a volume; 0 when nobody left one.
    pub fn read(&self, volume: &Path) -> u8 {
        match self.kind {
            Kind::Images => {
                let mut mark = [0];
                File::open(volume)
                    .and_then(|image| image.read_exact_at(&mut mark, 0))
                    .unwrap();
                mark[0]
            }
            Kind::Folders => match fs::read(volume.join("mark")) {
                Ok(mark) => mark[0],
                Err(_) => {
                    assert!(volume.is_dir(), "{} is not there", volume.display());
                    0
                }
            },
        }
    }

    /// A path in the pool, with the ending that volumes have there.
    pub fn volume(&self, domain: &DomainName, volume: &str) -> PathBuf {
        let file = match self.kind {
            Kind::Images => format!("{volume}.img"),
            Kind::Folders => volume.to_owned(),
        };
        self.pool_path().join(domain.as_str()).join(file)
    }

    /// Every name in the pool but the owner's file, folders with a slash at the end.
    pub fn names(&self) -> Vec<String> {
        let root = self.pool_path();
        let mut names = Vec::new();
        for entry in fs::read_dir(&root).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_file() {
                if name != "bulkhead-pool" {
                    names.push(name);
                }
                continue;
            }
            for volume in fs::read_dir(entry.path()).unwrap() {
                let volume = volume.unwrap().file_name().into_string().unwrap();
                names.push(format!("{name}/{}", volume.replace(".img", "")));
            }
            names.push(format!("{name}/"));
        }
        names.sort();
        names
    }
}

/// A folder whose files can share blocks, if there is one: that which the caller names, or a
/// temporary one.
fn reflink_folder() -> Option<TempDir> {
    if let Some(folder) = std::env::var_os(REFLINK_FOLDER) {
        return Some(TempDir::new_in(folder).unwrap());
    }
    let folder = TempDir::new().unwrap();
    let probe = folder.path().join("probe");
    Pool::reflink(&probe, PoolOptions::new(OWNER)).ok()?;
    Some(folder)
}

/// Mounts a fresh XFS that only this thread and its children see, so that the kernel takes
/// it and its loop device away with the thread, however the test ends.
fn mounted_xfs() -> TempDir {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test mounts an XFS: run it as root, or set {REFLINK_FOLDER} to a folder on XFS or btrfs"
    );
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS).unwrap();
    let alone = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, alone, None::<&str>).unwrap();
    let folder = TempDir::new().unwrap();
    // The image is on a file system of the same private view, so it goes with it too.
    let memory = Some("tmpfs");
    mount(
        memory,
        folder.path(),
        memory,
        MsFlags::empty(),
        None::<&str>,
    )
    .unwrap();
    let image = folder.path().join("xfs.img");
    // As small as mkfs.xfs allows.
    File::create(&image).unwrap().set_len(300 << 20).unwrap();
    run(Command::new("mkfs.xfs").arg("-q").arg(&image));
    run(Command::new("mount")
        .args(["-o", "loop"])
        .arg(&image)
        .arg(folder.path()));
    folder
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
