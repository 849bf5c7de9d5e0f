// SPDX-License-Identifier: GPL-3.0-or-later
//! Operations that fail say why and leave nothing behind.

use std::error::Error;
use std::fs;

use bulkhead_storage::{OpenError, Pool, PoolOptions, Sizes, VolumeError, VolumeSpec};
use bulkhead_types::VolumeName;

use crate::life_cycle::{SIZES, name, quick};
use crate::place::{Kind, OWNER, Place};

#[test]
fn a_template_that_does_not_fit_is_refused_and_leaves_nothing() {
    let place = Place::small();
    let pool = place.open_with(quick());
    let outside = tempfile::tempdir_in("/dev/shm").unwrap();
    let image = outside.path().join("root.img");
    fs::write(&image, vec![1; 400 << 20]).unwrap();
    let images = [(VolumeName::Root, image.as_path())];
    let error = pool
        .create(&name("debian"), &VolumeSpec::of_template(SIZES), &images)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the pool is full: there is no space for the root volume of `debian`"
    );
    assert!(error.source().is_some());
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn a_domain_whose_template_is_missing_does_not_start() {
    let place = Place::new(Kind::Images);
    let pool = place.open_with(quick());
    let work = name("work");
    let volumes = VolumeSpec::of_app(&name("debian"), SIZES);
    pool.create(&work, &volumes, &[]).unwrap();
    let before = place.names();
    let error = pool.start(&work, &volumes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the root volume of `debian`, which `work` starts from, is not there"
    );
    assert_eq!(place.names(), before);

    // A disposable has no folder of its own before it starts.
    let disposable = VolumeSpec::of_disposable(&name("debian"), &work, SIZES);
    pool.start(&name("disp1"), &disposable).unwrap_err();
    assert_eq!(place.names(), before);
}

#[test]
fn a_volume_that_vanished_is_named() {
    let place = Place::new(Kind::Folders);
    let pool = place.open();
    let volumes = VolumeSpec::of_template(Sizes::default());
    pool.create(&name("debian"), &volumes, &[]).unwrap();
    fs::remove_dir(place.volume(&name("debian"), "private")).unwrap();
    let error = pool.start(&name("debian"), &volumes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the private volume of `debian` is not there"
    );
    assert!(!pool.is_started(&name("debian"), &volumes));
}

#[test]
fn a_domain_cannot_be_made_twice() {
    let place = Place::new(Kind::Folders);
    let pool = place.open();
    let volumes = VolumeSpec::of_template(Sizes::default());
    pool.create(&name("debian"), &volumes, &[]).unwrap();
    let error = pool.create(&name("debian"), &volumes, &[]).unwrap_err();
    assert!(matches!(error, VolumeError::Exists(_)), "{error}");
}

#[test]
fn a_formatter_that_fails_is_quoted() {
    let place = Place::new(Kind::Images);
    let outside = tempfile::tempdir().unwrap();
    let program = outside.path().join("mkfs");
    fs::write(
        &program,
        "#!/bin/sh\necho first >&2; echo no inodes >&2; exit 1\n",
    )
    .unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let pool = place.open_with(PoolOptions {
        mkfs: program,
        ..PoolOptions::new(OWNER)
    });
    let volumes = VolumeSpec::of_template(SIZES);
    let error = pool.create(&name("debian"), &volumes, &[]).unwrap_err();
    assert!(error.to_string().ends_with(": no inodes"), "{error}");
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn a_pool_of_another_installation_is_not_touched() {
    let place = Place::new(Kind::Folders);
    let pool = place.open();
    let volumes = VolumeSpec::of_template(SIZES);
    pool.create(&name("debian"), &volumes, &[]).unwrap();
    drop(pool);
    let other = Pool::directory(&place.pool_path(), PoolOptions::new("another")).unwrap_err();
    assert!(matches!(other, OpenError::OfAnother(_)), "{other}");
    assert!(place.volume(&name("debian"), "root").is_dir());
}

#[test]
fn a_pool_serves_one_manager_at_a_time() {
    let place = Place::new(Kind::Folders);
    let _pool = place.open();
    let second = Pool::directory(&place.pool_path(), PoolOptions::new(OWNER)).unwrap_err();
    assert!(matches!(second, OpenError::InUse(_)), "{second}");
}

#[test]
fn a_folder_with_other_things_does_not_become_a_pool() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("alice")).unwrap();
    let error = Pool::directory(folder.path(), PoolOptions::new(OWNER)).unwrap_err();
    assert!(matches!(error, OpenError::NotAPool(_)), "{error}");
    assert!(folder.path().join("alice").is_dir());
}
