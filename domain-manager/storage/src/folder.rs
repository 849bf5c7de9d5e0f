// SPDX-License-Identifier: GPL-3.0-or-later
//! Copying and removing whole folders without following a link.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Copies a folder with what is below it: folders, files, links and their permissions.
/// Sockets, pipes and devices are left out; they mean nothing in a copy.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, copied) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&source, &copied)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&source)?, &copied)?;
        } else if kind.is_file() {
            fs::copy(&source, &copied)?;
        }
    }
    // Last, since the folder may be one that nobody may write to.
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}

/// Removes whatever is at `path`; nothing there is fine.
pub(crate) fn delete(path: &Path) -> io::Result<()> {
    let kind = match path.symlink_metadata() {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !kind.is_dir() {
        return fs::remove_file(path);
    }
    fs::remove_dir_all(path).or_else(|_| {
        unlock(path)?;
        fs::remove_dir_all(path)
    })
}

/// Gives back to the owner what a guest may have taken from the folders of its home.
fn unlock(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            unlock(&entry.path())?;
        }
    }
    Ok(())
}
