// SPDX-License-Identifier: GPL-3.0-or-later
//! What a template has beside its volumes: what it boots, and where it came from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::host::{HostError, HostErrorKind};

/// The files that are taken in beside the volumes.
const FILES: [&str; 3] = ["vmlinuz", "initrd.img", "manifest.json"];
/// What the root volume starts with.
pub(crate) const IMAGE: &str = "root.img";

/// Copies what a built template has to its place. Returns its image, if it has one.
pub(super) fn take_in(source: &Path, place: &Path) -> Result<Option<PathBuf>, HostError> {
    copy(source, place).map_err(|error| {
        failed(format!(
            "cannot copy {} to {}: {error}",
            source.display(),
            place.display()
        ))
    })?;
    let image = source.join(IMAGE);
    Ok(image.is_file().then_some(image))
}

/// Removes what was taken in; that there is nothing is no error.
pub(super) fn remove(place: &Path) -> Result<(), HostError> {
    match fs::remove_dir_all(place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(format!(
            "cannot remove {}: {error}",
            place.display()
        ))),
        _ => Ok(()),
    }
}

fn copy(source: &Path, place: &Path) -> io::Result<()> {
    fs::create_dir_all(place)?;
    for file in FILES {
        match fs::copy(source.join(file), place.join(file)) {
            Ok(_) => fs::File::open(place.join(file))?.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    fs::File::open(place)?.sync_all()
}

fn failed(message: String) -> HostError {
    HostError {
        kind: HostErrorKind::Storage,
        message,
    }
}
