// SPDX-License-Identifier: GPL-3.0-or-later
//! What the volumes of a domain's start and stop cost, and that size does not matter.
//!
//! Prints the median of some rounds; judges nothing.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::fs;
use std::time::{Duration, Instant};

use bulkhead_storage::{PoolOptions, Sizes, VolumeSpec};
use bulkhead_types::{DomainName, VolumeName};

#[path = "../tests/it/place.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod place;

const ROUNDS: usize = 30;

fn main() {
    for root_mib in [1, 16, 128] {
        measure(root_mib);
    }
}

fn measure(root_mib: usize) {
    let place = place::Place::new(place::Kind::Images);
    let pool = place.open_with(PoolOptions::new(place::OWNER));
    let outside = tempfile::tempdir_in("/dev/shm").unwrap();
    let image = outside.path().join("root.img");
    fs::write(&image, vec![7; root_mib << 20]).unwrap();
    let name = |text: &str| DomainName::parse(text).unwrap();
    let (template, work) = (name("debian"), name("work"));
    let (sizes, images) = (Sizes::default(), [(VolumeName::Root, image.as_path())]);
    pool.create(&template, &VolumeSpec::of_template(sizes), &images)
        .unwrap();
    let volumes = VolumeSpec::of_app(&template, sizes);
    let clock = Instant::now();
    pool.create(&work, &volumes, &[]).unwrap();
    let created = clock.elapsed();
    let mut stages: [Vec<Duration>; 2] = Default::default();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        pool.start(&work, &volumes).unwrap();
        let started = Instant::now();
        pool.stop(&work, &volumes).unwrap();
        stages[0].push(started - start);
        stages[1].push(started.elapsed());
    }
    let clock = Instant::now();
    pool.remove(&work).unwrap();
    let removed = clock.elapsed();
    for stage in &mut stages {
        stage.sort();
    }
    let [start, stop] = stages.map(|stage| stage[ROUNDS / 2]);
    println!(
        "volumes of a domain with {root_mib} MiB of root: create {created:.1?}, \
         start {start:.1?}, stop {stop:.1?}, remove {removed:.1?}"
    );
}
