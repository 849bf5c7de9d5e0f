// SPDX-License-Identifier: GPL-3.0-or-later
//! Levels the times in a fresh ext4 image.
//!
//! `mkfs.ext4 -d` copies each file's times, of which the change time cannot be chosen by
//! anyone, and takes "now" for the creation times. Here every inode gets: modification time
//! no later than the image's date, all other times equal to it. Offsets are those of the
//! kernel's documentation (Documentation/filesystems/ext4: super.rst, group_descr.rst,
//! inodes.rst). The image must be made without `metadata_csum`, so that no inode carries a
//! checksum.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::BuildError;

const SUPERBLOCK: u64 = 1024;
const MAGIC: u16 = 0xEF53;
const METADATA_CSUM: u32 = 0x400;
const WIDE: u32 = 0x80;

/// What the walk over the inodes needs of the superblock.
struct Geometry {
    block: u64,
    groups: u64,
    inodes_per_group: u64,
    inode: u64,
    descriptors: u64,
    descriptor: u64,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn geometry(superblock: &[u8; 1024]) -> Result<Geometry, &'static str> {
    if u16_at(superblock, 0x38) != MAGIC {
        return Err("it has no ext4 superblock");
    }
    if u32_at(superblock, 0x64) & METADATA_CSUM != 0 {
        return Err("its inodes carry checksums");
    }
    let scale = u32_at(superblock, 0x18);
    let inodes_per_group = u64::from(u32_at(superblock, 0x28));
    let inode = u64::from(u16_at(superblock, 0x58));
    if scale > 6 || inodes_per_group == 0 || inode < 256 {
        return Err("its superblock makes no sense");
    }
    let block = 1024 << scale;
    Ok(Geometry {
        block,
        groups: u64::from(u32_at(superblock, 0)).div_ceil(inodes_per_group),
        inodes_per_group,
        inode,
        descriptors: (u64::from(u32_at(superblock, 0x14)) + 1) * block,
        descriptor: match u32_at(superblock, 0x60) & WIDE {
            0 => 32,
            _ => u64::from(u16_at(superblock, 0xFE)),
        },
    })
}

/// Levels the times of all inodes in the image `path`: none is later than `date`.
pub fn level_times(path: &Path, date: u32) -> Result<(), BuildError> {
    let image = File::options()
        .read(true)
        .write(true)
        .open(path)
        .map_err(BuildError::io("open", path))?;
    let mut superblock = [0; 1024];
    image
        .read_exact_at(&mut superblock, SUPERBLOCK)
        .map_err(BuildError::io("read", path))?;
    let geometry = geometry(&superblock).map_err(|problem| BuildError::Unexpected {
        what: path.display().to_string(),
        problem: problem.into(),
    })?;
    for group in 0..geometry.groups {
        level_group(&image, &geometry, group, date).map_err(BuildError::io("rewrite", path))?;
    }
    Ok(())
}

fn level_group(image: &File, geometry: &Geometry, group: u64, date: u32) -> std::io::Result<()> {
    let mut descriptor = [0; 64];
    let wide = geometry.descriptor >= 64;
    let length = if wide { 64 } else { 32 };
    let at = geometry.descriptors + group * geometry.descriptor;
    image.read_exact_at(&mut descriptor[..length], at)?;
    let table = u64::from(u32_at(&descriptor, 0x8)) | u64::from(u32_at(&descriptor, 0x28)) << 32;
    let mut inodes = vec![0; (geometry.inodes_per_group * geometry.inode) as usize];
    let start = table * geometry.block;
    image.read_exact_at(&mut inodes, start)?;
    let before = inodes.clone();
    for inode in inodes.chunks_exact_mut(geometry.inode as usize) {
        level_inode(inode, date);
    }
    // A table that stays as it is may stay a hole in the sparse file.
    if inodes != before {
        image.write_all_at(&inodes, start)?;
    }
    Ok(())
}

fn level_inode(inode: &mut [u8], date: u32) {
    let mode = u16_at(inode, 0);
    if mode == 0 && u32_at(inode, 0x10) == 0 && u32_at(inode, 0xC) == 0 {
        return;
    }
    let modified = u32_at(inode, 0x10).min(date);
    for time in [0x8, 0xC, 0x10, 0x90] {
        inode[time..time + 4].copy_from_slice(&modified.to_le_bytes());
    }
    for fraction in [0x84, 0x88, 0x8C, 0x94] {
        inode[fraction..fraction + 4].fill(0);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    #[test]
    fn two_images_of_one_tree_are_equal_once_their_times_are_level() {
        let dir = tempfile::tempdir().unwrap();
        let image = |name: &str| {
            let tree = dir.path().join(format!("{name}.d"));
            std::fs::create_dir(&tree).unwrap();
            std::fs::write(tree.join("file"), "content").unwrap();
            let path = dir.path().join(name);
            crate::filesystem::of_folder(&crate::filesystem::FileSystem {
                tree: &tree,
                image: &path,
                size: 32,
                uuid: "6c6f5d3e-3a7c-4c63-8f52-0c3f3f1c0a11",
                date: 1_700_000_000,
            })
            .unwrap();
            std::fs::read(&path).unwrap()
        };
        assert!(image("one") == image("two"));
        let check = Command::new("/sbin/e2fsck")
            .args(["-fn".as_ref(), dir.path().join("one").as_os_str()])
            .output()
            .unwrap();
        assert!(check.status.success(), "{check:?}");
    }
}
