// SPDX-License-Identifier: GPL-3.0-or-later
//! Blocks are shared, not copied, and a file system that cannot is refused.

use std::fs;
use std::time::Instant;

use bulkhead_storage::{OpenError, Pool, PoolOptions, Sizes, VolumeSpec};
use bulkhead_types::VolumeName;
use nix::sys::statvfs::statvfs;

use crate::life_cycle::{name, path_of, quick};
use crate::place::{Kind, OWNER, Place};

#[test]
fn starting_a_domain_takes_no_space_for_its_templates_data() {
    let place = Place::new(Kind::Images);
    let pool = place.open_with(quick());
    let outside = tempfile::tempdir().unwrap();
    let image = outside.path().join("root.img");
    fs::write(&image, vec![7; 64 << 20]).unwrap();
    let (template, work) = (name("debian"), name("work"));
    let images = [(VolumeName::Root, image.as_path())];
    pool.create(
        &template,
        &VolumeSpec::of_template(Sizes::default()),
        &images,
    )
    .unwrap();
    let volumes = VolumeSpec::of_app(&template, Sizes::default());
    pool.create(&work, &volumes, &[]).unwrap();

    let used = || {
        let pool = statvfs(&place.pool_path()).unwrap();
        (pool.blocks() - pool.blocks_free()) * pool.fragment_size()
    };
    let before = used();
    let clock = Instant::now();
    let started = pool.start(&work, &volumes).unwrap();
    println!("working copies of a 64 MiB root: {:?}", clock.elapsed());
    assert!(used() - before < 4 << 20, "took {} bytes", used() - before);
    assert_eq!(place.read(&path_of(&started, VolumeName::Root)), 7);
}

#[test]
fn a_file_system_without_sharing_is_refused_with_a_way_out() {
    // Memory file systems share no blocks, and every machine has one.
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join("pool");
    let error = Pool::reflink(&path, PoolOptions::new(OWNER)).unwrap_err();
    let OpenError::NoReflink { file_system, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(file_system, "tmpfs");
    let pool = path.display();
    assert_eq!(
        error.to_string(),
        format!("the pool `{pool}` is on tmpfs, which cannot share blocks between files")
    );
    assert!(
        error
            .hint()
            .unwrap()
            .contains(&format!("mkfs.xfs {pool}.xfs"))
    );
    let left: Vec<_> = fs::read_dir(&path).unwrap().collect();
    assert!(left.len() <= 1, "{left:?}");
}
