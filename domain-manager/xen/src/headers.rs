// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our numbers and layouts against the installed headers: a C program prints theirs.
//!
//! Needs `cc`, `linux-libc-dev` and `libxen-dev`; without them these tests fail, since a
//! number nobody checked is how such layers go wrong.

use std::fmt::Write as _;
use std::io::Write;
use std::mem::offset_of;
use std::process::{Command, Stdio};

use crate::ioctl::{self, request};
use crate::store::wire;

/// What C says: one number per expression, after these headers.
fn according_to_c(headers: &[&str], expressions: &[&str]) -> Vec<u64> {
    let mut program =
        String::from("#include <stdint.h>\n#include <stddef.h>\n#include <stdio.h>\n");
    for header in headers {
        writeln!(program, "#include <{header}>").unwrap();
    }
    program += "int main(void) {\n";
    for expression in expressions {
        writeln!(
            program,
            "printf(\"%llu\\n\", (unsigned long long)({expression}));"
        )
        .unwrap();
    }
    program += "}\n";
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("print");
    let mut compiler = Command::new("cc")
        .args(["-x", "c", "-", "-o"])
        .arg(&binary)
        .stdin(Stdio::piped())
        .spawn()
        .expect("cc is installed (package gcc)");
    compiler
        .stdin
        .take()
        .unwrap()
        .write_all(program.as_bytes())
        .unwrap();
    assert!(
        compiler.wait().unwrap().success(),
        "install linux-libc-dev and libxen-dev"
    );
    let printed = Command::new(binary).output().unwrap().stdout;
    String::from_utf8(printed)
        .unwrap()
        .lines()
        .map(|line| line.parse().unwrap())
        .collect()
}

fn assert_same(headers: &[&str], pairs: &[(&str, u64)]) {
    let (names, ours): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
    let theirs = according_to_c(headers, &names);
    for ((name, ours), theirs) in names.iter().zip(ours).zip(theirs) {
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn event_channel_requests_are_the_kernels() {
    assert_same(
        &["sys/ioctl.h", "xen/xen.h", "xen/evtchn.h"],
        &[
            (
                "IOCTL_EVTCHN_BIND_INTERDOMAIN",
                request::BIND_INTERDOMAIN.number(),
            ),
            (
                "IOCTL_EVTCHN_BIND_UNBOUND_PORT",
                request::BIND_UNBOUND_PORT.number(),
            ),
            ("IOCTL_EVTCHN_UNBIND", request::UNBIND.number()),
            ("IOCTL_EVTCHN_NOTIFY", request::NOTIFY.number()),
            (
                "offsetof(struct ioctl_evtchn_bind_interdomain, remote_port)",
                offset_of!(ioctl::BindInterdomain, remote_port) as u64,
            ),
        ],
    );
}

#[test]
fn grant_requests_and_layouts_are_the_kernels() {
    assert_same(
        &[
            "sys/ioctl.h",
            "xen/xen.h",
            "xen/grant_table.h",
            "xen/gntdev.h",
        ],
        &[
            (
                "IOCTL_GNTDEV_MAP_GRANT_REF",
                request::MAP_GRANT_REF.number(),
            ),
            (
                "IOCTL_GNTDEV_UNMAP_GRANT_REF",
                request::UNMAP_GRANT_REF.number(),
            ),
            (
                "IOCTL_GNTDEV_SET_UNMAP_NOTIFY",
                request::SET_UNMAP_NOTIFY.number(),
            ),
            (
                "offsetof(struct ioctl_gntdev_map_grant_ref, count)",
                offset_of!(ioctl::MapGrantRef, count) as u64,
            ),
            (
                "offsetof(struct ioctl_gntdev_map_grant_ref, index)",
                offset_of!(ioctl::MapGrantRef, index) as u64,
            ),
            (
                "offsetof(struct ioctl_gntdev_map_grant_ref, refs)",
                offset_of!(ioctl::MapGrantRef, refs) as u64,
            ),
            (
                "offsetof(struct ioctl_gntdev_grant_ref, ref)",
                offset_of!(ioctl::GrantRef, reference) as u64,
            ),
            (
                "sizeof(struct ioctl_gntdev_grant_ref)",
                size_of::<ioctl::GrantRef>() as u64,
            ),
            (
                "offsetof(struct ioctl_gntdev_unmap_grant_ref, count)",
                offset_of!(ioctl::UnmapGrantRef, count) as u64,
            ),
            (
                "offsetof(struct ioctl_gntdev_unmap_notify, action)",
                offset_of!(ioctl::UnmapNotify, action) as u64,
            ),
            (
                "offsetof(struct ioctl_gntdev_unmap_notify, event_channel_port)",
                offset_of!(ioctl::UnmapNotify, event_channel_port) as u64,
            ),
            (
                "UNMAP_NOTIFY_CLEAR_BYTE",
                ioctl::UNMAP_NOTIFY_CLEAR_BYTE.into(),
            ),
            (
                "UNMAP_NOTIFY_SEND_EVENT",
                ioctl::UNMAP_NOTIFY_SEND_EVENT.into(),
            ),
        ],
    );
    assert_same(
        &["sys/ioctl.h", "linux/types.h", "xen/gntalloc.h"],
        &[
            ("IOCTL_GNTALLOC_ALLOC_GREF", request::ALLOC_GREF.number()),
            (
                "IOCTL_GNTALLOC_DEALLOC_GREF",
                request::DEALLOC_GREF.number(),
            ),
            (
                "IOCTL_GNTALLOC_SET_UNMAP_NOTIFY",
                request::SET_UNMAP_NOTIFY.number(),
            ),
            (
                "offsetof(struct ioctl_gntalloc_alloc_gref, flags)",
                offset_of!(ioctl::AllocGref, flags) as u64,
            ),
            (
                "offsetof(struct ioctl_gntalloc_alloc_gref, count)",
                offset_of!(ioctl::AllocGref, count) as u64,
            ),
            (
                "offsetof(struct ioctl_gntalloc_alloc_gref, index)",
                offset_of!(ioctl::AllocGref, index) as u64,
            ),
            (
                "offsetof(struct ioctl_gntalloc_alloc_gref, gref_ids)",
                offset_of!(ioctl::AllocGref, gref_ids) as u64,
            ),
            (
                "offsetof(struct ioctl_gntalloc_dealloc_gref, count)",
                offset_of!(ioctl::DeallocGref, count) as u64,
            ),
            (
                "offsetof(struct ioctl_gntalloc_unmap_notify, event_channel_port)",
                offset_of!(ioctl::UnmapNotify, event_channel_port) as u64,
            ),
            (
                "GNTALLOC_FLAG_WRITABLE",
                ioctl::GNTALLOC_FLAG_WRITABLE.into(),
            ),
        ],
    );
}

#[test]
fn the_store_speaks_the_words_of_the_wire_header() {
    assert_same(
        &["errno.h", "xen/io/xs_wire.h"],
        &[
            ("XS_DIRECTORY", wire::DIRECTORY.into()),
            ("XS_READ", wire::READ.into()),
            ("XS_GET_PERMS", wire::GET_PERMS.into()),
            ("XS_WATCH", wire::WATCH.into()),
            ("XS_UNWATCH", wire::UNWATCH.into()),
            ("XS_TRANSACTION_START", wire::TRANSACTION_START.into()),
            ("XS_TRANSACTION_END", wire::TRANSACTION_END.into()),
            ("XS_WRITE", wire::WRITE.into()),
            ("XS_MKDIR", wire::MKDIR.into()),
            ("XS_RM", wire::RM.into()),
            ("XS_SET_PERMS", wire::SET_PERMS.into()),
            ("XS_WATCH_EVENT", wire::WATCH_EVENT.into()),
            ("XS_ERROR", wire::ERROR.into()),
            ("XS_DIRECTORY_PART", wire::DIRECTORY_PART.into()),
            ("XS_IS_DOMAIN_INTRODUCED", wire::IS_DOMAIN_INTRODUCED.into()),
            ("sizeof(struct xsd_sockmsg)", wire::HEADER as u64),
            ("XENSTORE_PAYLOAD_MAX", wire::PAYLOAD_MAX as u64),
        ],
    );
}
