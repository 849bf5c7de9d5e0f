// SPDX-License-Identifier: GPL-3.0-or-later
//! Putting a new content in a file's place, so that nobody ever reads half of it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Puts a content in a file's place; a file that is new gets the mode that others can read.
///
/// # Errors
///
/// The disk says no; then the file is as it was.
pub fn replace_file(file: &Path, content: &[u8]) -> io::Result<()> {
    // A link stays one; what it points to is replaced.
    let (file, permissions) = match fs::canonicalize(file) {
        Ok(file) => {
            let permissions = fs::metadata(&file)?.permissions();
            (file, Some(permissions))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (file.to_owned(), None),
        Err(error) => return Err(error),
    };
    let directory = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let new = aside(&file);
    let written = File::create(&new).and_then(|mut out| {
        out.write_all(content)?;
        if let Some(permissions) = permissions {
            out.set_permissions(permissions)?;
        }
        out.sync_all()
    });
    let moved = written
        .and_then(|()| fs::rename(&new, &file))
        .and_then(|()| File::open(directory)?.sync_all());
    if moved.is_err() {
        let _ = fs::remove_file(&new);
    }
    moved
}

/// Hidden, so that it is no policy while it is there, and of this process alone.
fn aside(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".{name}.{}.new", std::process::id()))
}

/// Keeps other administrators from changing the files of a directory until it is dropped. Waits for
/// one who does.
///
/// # Errors
///
/// The directory cannot be read, or its file system knows no locks.
pub fn alone_in(directory: &Path) -> io::Result<File> {
    let directory = File::open(directory)?;
    directory.lock()?;
    Ok(directory)
}
