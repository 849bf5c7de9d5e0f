// SPDX-License-Identifier: GPL-3.0-or-later
//! A manager that is killed at a durable step.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bulkhead_storage::{KnownDomain, Pool, PoolOptions, Step, VolumeSpec};
use bulkhead_types::VolumeName;

use crate::life_cycle::{SIZES, name, path_of, quick};
use crate::place::{Kind, Place};

/// What a killed manager unwinds with. Nothing in a pool cleans up while unwinding, so what
/// is on the disk afterwards is what `kill -9` leaves.
struct Killed;

/// Kills the manager after a number of steps.
#[derive(Clone, Default)]
pub struct Killer(Arc<AtomicUsize>);

impl Killer {
    /// Lets `steps` more steps pass; none means for ever.
    pub fn arm(&self, steps: Option<usize>) {
        self.0
            .store(steps.map_or(usize::MAX, |n| n), Ordering::Relaxed);
    }

    pub fn options(&self) -> PoolOptions {
        let left = self.0.clone();
        self.arm(None);
        PoolOptions {
            after_step: Some(Arc::new(move |_| match left.load(Ordering::Relaxed) {
                0 => resume_unwind(Box::new(Killed)),
                usize::MAX => {}
                more => left.store(more - 1, Ordering::Relaxed),
            })),
            ..quick()
        }
    }
}

/// Runs an operation; `None` when its manager was killed.
pub fn survived<T>(operation: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(operation)) {
        Ok(done) => Some(done),
        Err(cause) if cause.is::<Killed>() => None,
        Err(cause) => resume_unwind(cause),
    }
}

/// Plays a story on a fresh pool, killed after 0, 1, 2 … steps until it survives, and looks
/// at what a repair makes of each.
fn at_every_step(
    story: impl Fn(&Place, &Pool),
    known: &[KnownDomain],
    check: impl Fn(&Place, &Pool),
) {
    for steps in 0.. {
        let place = Place::new(Kind::Folders);
        let killer = Killer::default();
        let pool = place.open_with(killer.options());
        killer.arm(Some(steps));
        let survived = survived(|| story(&place, &pool)).is_some();
        drop(pool);
        let pool = place.open_with(quick());
        pool.repair(known).unwrap();
        check(&place, &pool);
        let again = pool.repair(known).unwrap();
        assert!(
            again.orphans.is_empty() && again.stopped.is_empty(),
            "{again:?}"
        );
        if survived {
            assert!(steps > 3, "the story has steps");
            return;
        }
    }
}

#[test]
fn volumes_that_were_never_announced_are_removed() {
    let volumes = VolumeSpec::of_template(SIZES);
    at_every_step(
        |_, pool| pool.create(&name("debian"), &volumes, &[]).unwrap(),
        &[],
        |place, _| assert_eq!(place.names(), [""; 0]),
    );
}

#[test]
fn a_whole_life_can_be_cut_anywhere_and_the_domain_starts_again() {
    let volumes = VolumeSpec::of_template(SIZES);
    let debian = name("debian");
    let life = |place: &Place, pool: &Pool| {
        pool.create(&debian, &volumes, &[]).unwrap();
        for mark in 1..3 {
            let started = pool.start(&debian, &volumes).unwrap();
            place.write(&path_of(&started, VolumeName::Private), mark);
            pool.stop(&debian, &volumes).unwrap();
        }
    };
    let known = [KnownDomain {
        name: debian.clone(),
        volumes: volumes.clone(),
        running: false,
    }];
    at_every_step(life, &known, |_, pool| {
        if pool.has(&debian) {
            pool.start(&debian, &volumes).unwrap();
            pool.stop(&debian, &volumes).unwrap();
        }
    });
}

#[test]
fn a_running_domains_working_copies_survive_its_manager() {
    let place = Place::new(Kind::Images);
    let pool = place.open_with(quick());
    let (debian, volumes) = (name("debian"), VolumeSpec::of_template(SIZES));
    pool.create(&debian, &volumes, &[]).unwrap();
    let private = path_of(&pool.start(&debian, &volumes).unwrap(), VolumeName::Private);
    drop(pool);

    let pool = place.open_with(quick());
    let known = |running| KnownDomain {
        name: debian.clone(),
        volumes: volumes.clone(),
        running,
    };
    place.write(&private, b'w');
    let repaired = pool.repair(&[known(true)]).unwrap();
    assert_eq!(repaired, Default::default());
    assert_eq!(place.read(&private), b'w');

    let repaired = pool.repair(&[known(false)]).unwrap();
    assert_eq!(repaired.stopped, std::slice::from_ref(&debian));
    assert_eq!(place.read(&place.volume(&debian, "private")), b'w');
}

#[test]
fn every_durable_step_has_its_name() {
    let place = Place::new(Kind::Images);
    let seen = Arc::new(Mutex::new(Vec::<Step>::new()));
    let notes = seen.clone();
    let pool = place.open_with(PoolOptions {
        after_step: Some(Arc::new(move |step| notes.lock().unwrap().push(step))),
        ..quick()
    });
    let (work, volumes) = (name("work"), VolumeSpec::of_template(SIZES)[1..2].to_vec());
    pool.create(&work, &volumes, &[]).unwrap();
    pool.start(&work, &volumes).unwrap();
    pool.stop(&work, &volumes).unwrap();
    pool.remove(&work).unwrap();
    assert_eq!(
        *seen.lock().unwrap(),
        [
            "folder for new volumes made",
            "new volume made",
            "volumes created",
            "working copy made",
            "working copy named",
            "former content made a revision",
            "working copy committed",
            "working copy put away",
            "volumes named gone",
            "volumes removed",
        ]
    );
}
