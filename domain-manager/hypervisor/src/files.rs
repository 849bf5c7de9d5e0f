// SPDX-License-Identifier: GPL-3.0-or-later
//! The files a guest is made from, looked for before anything else is done.
//!
//! Xen would notice a missing one too, but late, and each in other words.

use std::io::ErrorKind;
use std::path::Path;

use crate::error::CreateError;
use crate::spec::GuestSpec;

/// Refuses a guest one of whose files does not exist.
pub(crate) fn look_for(spec: &GuestSpec) -> Result<(), CreateError> {
    let absent = |path: &Path| {
        let found = path.symlink_metadata();
        found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    };
    match all(spec).find(|(_, path)| absent(path)) {
        None => Ok(()),
        Some((what, path)) => Err(CreateError::Missing {
            name: spec.name.clone(),
            what,
            path: path.to_owned(),
        }),
    }
}

fn all(spec: &GuestSpec) -> impl Iterator<Item = (String, &Path)> {
    let kernel = spec.kernel.as_ref();
    let image = kernel.map(|kernel| kernel.image.as_path());
    let ramdisk = kernel.and_then(|kernel| kernel.ramdisk.as_deref());
    let volumes = spec.disks.iter();
    let volumes = volumes.map(|disk| (format!("{} volume", disk.volume), disk.path.as_path()));
    let image = image.map(|path| ("kernel".to_owned(), path));
    let ramdisk = ramdisk.map(|path| ("ramdisk".to_owned(), path));
    image.into_iter().chain(ramdisk).chain(volumes)
}
