// SPDX-License-Identifier: GPL-3.0-or-later
//! The life of a template's, a domain's and a disposable's volumes.

use std::fs;
use std::path::PathBuf;

use bulkhead_storage::{Life, PoolOptions, Sizes, StartedVolume, VolumeSpec};
use bulkhead_types::{DomainName, VolumeName};

use crate::place::{Kind, OWNER, Place};

pub fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

/// Small volumes and no file system in them.
pub fn quick() -> PoolOptions {
    PoolOptions {
        mkfs: "true".into(),
        ..PoolOptions::new(OWNER)
    }
}

pub const SIZES: Sizes = Sizes {
    root: 4 << 20,
    private: 2 << 20,
    volatile: 8 << 20,
};

pub fn path_of(started: &[StartedVolume], volume: VolumeName) -> PathBuf {
    let found = started.iter().find(|started| started.name == volume);
    found.unwrap().path.clone()
}

fn what_a_run_writes_is_kept_only_where_it_should_be(kind: Kind) {
    let place = Place::new(kind);
    let pool = place.open_with(quick());
    let (template, work) = (name("debian"), name("work"));
    let of_template = VolumeSpec::of_template(SIZES);
    let of_work = VolumeSpec::of_app(&template, SIZES);
    pool.create(&template, &of_template, &[]).unwrap();
    pool.create(&work, &of_work, &[]).unwrap();

    let started = pool.start(&template, &of_template).unwrap();
    place.write(&path_of(&started, VolumeName::Root), b'1');
    pool.stop(&template, &of_template).unwrap();

    let started = pool.start(&work, &of_work).unwrap();
    let [root, private, volatile] = VolumeName::ALL.map(|v| path_of(&started, v));
    assert_eq!(place.read(&root), b'1', "the template's system");
    place.write(&root, b'x');
    place.write(&private, b'p');
    place.write(&volatile, b'x');
    pool.stop(&work, &of_work).unwrap();
    assert!(!pool.is_started(&work, &of_work));

    let started = pool.start(&work, &of_work).unwrap();
    let [root, private, volatile] = VolumeName::ALL.map(|v| path_of(&started, v));
    assert_eq!(place.read(&root), b'1', "fresh from the template again");
    assert_eq!(place.read(&private), b'p', "kept");
    assert_eq!(place.read(&volatile), 0, "empty again");
}

#[test]
fn what_a_run_writes_is_kept_only_where_it_should_be_in_images() {
    what_a_run_writes_is_kept_only_where_it_should_be(Kind::Images);
}

#[test]
fn what_a_run_writes_is_kept_only_where_it_should_be_in_folders() {
    what_a_run_writes_is_kept_only_where_it_should_be(Kind::Folders);
}

fn a_disposable_starts_from_what_its_base_held_when_it_last_stopped(kind: Kind) {
    let place = Place::new(kind);
    let pool = place.open_with(quick());
    let (template, base, disposable) = (name("debian"), name("disp-base"), name("disp1234"));
    let of_base = VolumeSpec::of_app(&template, SIZES);
    let of_disposable = VolumeSpec::of_disposable(&template, &base, SIZES);
    pool.create(&template, &VolumeSpec::of_template(SIZES), &[])
        .unwrap();
    pool.create(&base, &of_base, &[]).unwrap();
    let started = pool.start(&base, &of_base).unwrap();
    place.write(&path_of(&started, VolumeName::Private), b'b');
    pool.stop(&base, &of_base).unwrap();

    let running = pool.start(&base, &of_base).unwrap();
    place.write(&path_of(&running, VolumeName::Private), b'c');
    pool.create(&disposable, &of_disposable, &[]).unwrap();
    let started = pool.start(&disposable, &of_disposable).unwrap();
    assert_eq!(place.read(&path_of(&started, VolumeName::Private)), b'b');

    pool.stop(&disposable, &of_disposable).unwrap();
    pool.remove(&disposable).unwrap();
    assert!(!place.names().iter().any(|name| name.contains("disp1234")));
}

#[test]
fn a_disposable_starts_from_what_its_base_held_when_it_last_stopped_in_images() {
    a_disposable_starts_from_what_its_base_held_when_it_last_stopped(Kind::Images);
}

#[test]
fn a_disposable_starts_from_what_its_base_held_when_it_last_stopped_in_folders() {
    a_disposable_starts_from_what_its_base_held_when_it_last_stopped(Kind::Folders);
}

#[test]
fn an_image_is_imported_as_the_templates_root() {
    let place = Place::new(Kind::Images);
    let outside = tempfile::tempdir().unwrap();
    let image = outside.path().join("root.img");
    fs::write(&image, b"system").unwrap();
    fs::File::options()
        .append(true)
        .open(&image)
        .unwrap()
        .set_len(32 << 20)
        .unwrap();
    let pool = place.open_with(quick());
    let template = name("debian");
    let volumes = VolumeSpec::of_template(SIZES);
    pool.create(&template, &volumes, &[(VolumeName::Root, &image)])
        .unwrap();

    let root = fs::metadata(place.volume(&template, "root")).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!(root.len(), 32 << 20);
    assert!(root.blocks() * 512 < 1 << 20, "its hole stays a hole");
    let started = pool.start(&template, &volumes).unwrap();
    assert_eq!(place.read(&path_of(&started, VolumeName::Root)), b's');
}

#[test]
fn an_empty_private_volume_holds_an_ext4_file_system() {
    let place = Place::new(Kind::Images);
    let pool = place.open();
    let volumes = VolumeSpec::of_app(&name("debian"), SIZES);
    pool.create(&name("work"), &volumes, &[]).unwrap();
    let private = fs::read(place.volume(&name("work"), "private")).unwrap();
    // The magic number of the superblock (ext4's on-disk layout).
    assert_eq!(private[0x438..0x43a], [0x53, 0xef]);
}

#[test]
fn former_contents_stay_as_revisions_up_to_the_limit() {
    let place = Place::new(Kind::Images);
    let pool = place.open_with(PoolOptions {
        revisions_to_keep: 2,
        ..quick()
    });
    let work = name("work");
    let volumes = [VolumeSpec {
        name: VolumeName::Private,
        size: 1 << 20,
        life: Life::Kept,
    }];
    pool.create(&work, &volumes, &[]).unwrap();
    for mark in 1..=4 {
        let started = pool.start(&work, &volumes).unwrap();
        place.write(&started[0].path, mark);
        pool.stop(&work, &volumes).unwrap();
    }
    let revisions = pool.revisions(&work, VolumeName::Private).unwrap();
    assert_eq!(revisions, [3, 4]);
    let newest = place
        .volume(&work, "private")
        .with_extension("img.rev-0000000004");
    assert_eq!(place.read(&newest), 3, "what the fourth run replaced");
    pool.remove(&work).unwrap();
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn a_run_that_never_began_leaves_the_volumes_as_they_were() {
    let place = Place::new(Kind::Images);
    let pool = place.open_with(quick());
    let (template, work) = (name("debian"), name("work"));
    let volumes = VolumeSpec::of_app(&template, SIZES);
    pool.create(&template, &VolumeSpec::of_template(SIZES), &[])
        .unwrap();
    pool.create(&work, &volumes, &[]).unwrap();
    let before = place.names();
    pool.start(&work, &volumes).unwrap();
    pool.abandon(&work, &volumes).unwrap();
    assert_eq!(place.names(), before, "not even a revision");
}

#[test]
fn folders_are_copied_with_links_and_permissions_and_removed_however_they_were_locked() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = Place::new(Kind::Folders);
    let pool = place.open();
    let work = name("work");
    let volumes = VolumeSpec::of_app(&name("debian"), SIZES)[1..2].to_vec();
    pool.create(&work, &volumes, &[]).unwrap();
    let private = pool.start(&work, &volumes).unwrap().remove(0).path;
    fs::create_dir(private.join("bin")).unwrap();
    fs::write(private.join("bin/run"), "#!/bin/sh").unwrap();
    fs::set_permissions(private.join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("/etc/passwd", private.join("link")).unwrap();
    fs::set_permissions(private.join("bin"), fs::Permissions::from_mode(0o555)).unwrap();
    pool.stop(&work, &volumes).unwrap();

    let private = pool.start(&work, &volumes).unwrap().remove(0).path;
    assert_eq!(
        fs::read_link(private.join("link")).unwrap().to_str(),
        Some("/etc/passwd")
    );
    let mode = |path| {
        fs::metadata(private.join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode("bin"), mode("bin/run")), (0o555, 0o755));
    pool.remove(&work).unwrap();
    assert_eq!(place.names(), [""; 0]);
}
