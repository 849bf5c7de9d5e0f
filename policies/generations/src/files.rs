// SPDX-License-Identifier: GPL-3.0-or-later
//! A set of policy files as it lies on the disk.

use std::fs;
use std::io;
use std::path::Path;

use crate::manifest::Files;
use crate::store::{StoreError, failed};

/// A set holds so many files, of so many bytes each, at most.
const FILES_MAX: usize = 4096;
const FILE_MAX: u64 = 16 << 20;
/// Directories in a set are this deep at most.
const DEPTH_MAX: usize = 4;

/// Reads a directory of policy files with what is below it. Hidden files are passed over.
///
/// # Errors
///
/// Something is no regular file, or the set is too large.
pub fn read_files(directory: &Path) -> Result<Files, StoreError> {
    let mut files = Files::new();
    read_below(directory, "", 0, &mut files)?;
    Ok(files)
}

fn read_below(
    directory: &Path,
    prefix: &str,
    depth: usize,
    files: &mut Files,
) -> Result<(), StoreError> {
    let unfit = |path: &Path, what| StoreError::Unfit {
        path: path.to_owned(),
        what,
    };
    for entry in fs::read_dir(directory).map_err(failed("read", directory))? {
        let entry = entry.map_err(failed("read", directory))?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name
            .to_str()
            .ok_or_else(|| unfit(&path, "its name is not UTF-8"))?;
        if name.starts_with('.') {
            continue;
        }
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            // Somebody has removed it since the directory was listed; a link to nowhere is still there.
            Err(_) if is_gone(&path) => continue,
            Err(error) => return Err(failed("read", &path)(error)),
        };
        if metadata.is_dir() {
            if depth == DEPTH_MAX {
                return Err(unfit(&path, "directories are too deep"));
            }
            read_below(&path, &format!("{prefix}{name}/"), depth + 1, files)?;
        } else if !metadata.is_file() {
            return Err(unfit(&path, "it is no regular file"));
        } else if metadata.len() > FILE_MAX || files.len() == FILES_MAX {
            return Err(unfit(&path, "it is too large, or there are too many"));
        } else {
            match fs::read(&path) {
                Ok(bytes) => files.insert(format!("{prefix}{name}"), bytes),
                Err(_) if is_gone(&path) => continue,
                Err(error) => return Err(failed("read", &path)(error)),
            };
        }
    }
    Ok(())
}

fn is_gone(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}
