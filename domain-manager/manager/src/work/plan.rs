// SPDX-License-Identifier: GPL-3.0-or-later
//! What a domain's volumes and guest are made of, from its properties and its templates'.

use bulkhead_hypervisor::{Disk, GuestKind, GuestSpec, Kernel};
use bulkhead_storage::{Sizes, StartedVolume, VolumeSpec};
use bulkhead_types::Layout;

use crate::failure::Failure;
use crate::model::{Class, Domain, Model, Property};
use crate::settings::Backend;

/// The guest's kernel finds its root as the first disk and may write to it.
const COMMAND_LINE: &str = "root=/dev/xvda rw console=hvc0 quiet";

/// The volumes of a domain.
pub(super) fn volumes(model: &Model, domain: &Domain) -> Result<Vec<VolumeSpec>, Failure> {
    let sizes = Sizes::default();
    let template = || {
        model.template_of(domain).ok_or_else(|| {
            Failure::NoTemplate(format!(
                "the template of domain `{}` is missing",
                domain.name
            ))
        })
    };
    Ok(match domain.class {
        Class::AdminVM | Class::RemoteVM => Vec::new(),
        Class::TemplateVM => VolumeSpec::of_template(sizes),
        Class::AppVM => VolumeSpec::of_app(&template()?.name, sizes),
        Class::DispVM => {
            let base = template()?;
            let root = model.template_of(base).ok_or_else(|| {
                Failure::NoTemplate(format!("the template of domain `{}` is missing", base.name))
            })?;
            VolumeSpec::of_disposable(&root.name, &base.name, sizes)
        }
    })
}

/// The guest of a domain, without its disks.
pub(super) fn guest(
    model: &Model,
    domain: &Domain,
    layout: &Layout,
    backend: Backend,
) -> Result<GuestSpec, Failure> {
    let small = |property| {
        let number = model.number(domain, property)?;
        u32::try_from(number)
            .map_err(|_| Failure::bad_value(property, format!("{number} is too large")))
    };
    let folder = model.text(domain, Property::Kernel)?;
    let folder = layout.templates().join(folder);
    let ramdisk = folder.join("initrd.img");
    let kernel = Kernel {
        image: folder.join("vmlinuz"),
        ramdisk: ramdisk.exists().then_some(ramdisk),
        command_line: format!("{COMMAND_LINE} bulkhead.name={}", domain.name),
    };
    Ok(GuestSpec {
        name: domain.name.clone(),
        uuid: domain.uuid.clone(),
        kind: match model.text(domain, Property::VirtMode)?.as_str() {
            "pv" => GuestKind::Pv,
            _ => GuestKind::Pvh,
        },
        memory_mib: small(Property::Memory)?,
        vcpus: small(Property::Vcpus)?,
        // A guest of the local back end runs on this machine's kernel.
        kernel: (backend == Backend::Xen).then_some(kernel),
        disks: Vec::new(),
    })
}

/// The disks made of the volumes of a run. All may be written: what is not to last is a copy.
pub(super) fn disks(started: Vec<StartedVolume>) -> Vec<Disk> {
    let disk = |volume: StartedVolume| Disk {
        volume: volume.name,
        path: volume.path,
        read_only: false,
    };
    started.into_iter().map(disk).collect()
}
