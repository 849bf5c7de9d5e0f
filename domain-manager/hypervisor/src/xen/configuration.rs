// SPDX-License-Identifier: GPL-3.0-or-later
//! From what a guest is made of to what `xl` reads, and back from its complaints.

use std::path::Path;

use bulkhead_xen::xl::{ConfigText, DeviceName, Disk, DiskSource, DomainConfig, Kind, XlError};

use crate::error::{Cause, CreateError, in_one_line};
use crate::spec::{GuestKind, GuestSpec};

/// The configuration of a guest.
pub(super) fn of(spec: &GuestSpec) -> Result<DomainConfig, CreateError> {
    let kernel = spec.kernel.as_ref();
    let kernel = kernel.ok_or_else(|| CreateError::NoKernel(spec.name.clone()))?;
    let failed = |source: Cause| CreateError::Failed {
        name: spec.name.clone(),
        source,
    };
    let config = || -> Result<DomainConfig, Cause> {
        Ok(DomainConfig {
            name: spec.name.clone(),
            uuid: Some(spec.uuid.clone()),
            kind: match spec.kind {
                GuestKind::Pv => Kind::Pv,
                GuestKind::Pvh => Kind::Pvh,
            },
            memory_mib: spec.memory_mib,
            vcpus: spec.vcpus,
            kernel: path(&kernel.image)?,
            ramdisk: kernel.ramdisk.as_deref().map(path).transpose()?,
            command_line: ConfigText::text(&kernel.command_line)?,
            disks: spec.disks.iter().map(disk).collect::<Result<_, _>>()?,
        })
    };
    config().map_err(failed)
}

fn disk(disk: &crate::spec::Disk) -> Result<Disk, Cause> {
    Ok(Disk {
        source: DiskSource::File(path(&disk.path)?),
        device: DeviceName::parse(disk.volume.guest_device())?,
        read_only: disk.read_only,
    })
}

fn path(path: &Path) -> Result<ConfigText, Cause> {
    let text = path.to_str().ok_or("a path is not text")?;
    Ok(ConfigText::path(text)?)
}

/// What `xl`'s refusal to create a guest means. `free` tells how much memory in MiB is left.
pub(super) fn refused(
    spec: &GuestSpec,
    error: XlError,
    free: impl FnOnce() -> Option<u64>,
) -> CreateError {
    let name = spec.name.clone();
    match (error, &spec.kernel) {
        (XlError::NameInUse(_), _) => CreateError::NameTaken(name),
        (error @ XlError::OutOfMemory(_), _) => CreateError::OutOfMemory {
            name,
            wanted_mib: spec.memory_mib,
            free_mib: free(),
            source: error.into(),
        },
        (error, Some(kernel)) if is_about_the_kernel(&error) => CreateError::BadKernel {
            name,
            path: kernel.image.clone(),
            source: error.into(),
        },
        (error, _) => CreateError::Failed {
            name,
            source: error.into(),
        },
    }
}

/// Whether the part of Xen that loads kernels complains (`xc_dom_*` of libxenguest).
fn is_about_the_kernel(error: &XlError) -> bool {
    let text = in_one_line(error);
    [
        "xc_dom_find_loader",
        "xc_dom_parse_image",
        "xc_dom_kernel",
        "xc_dom_ramdisk",
    ]
    .iter()
    .any(|words| text.contains(words))
}
