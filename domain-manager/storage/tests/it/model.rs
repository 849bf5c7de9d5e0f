// SPDX-License-Identifier: GPL-3.0-or-later
//! Random lives of three domains, with a killed manager now and then, against a model.

use std::collections::BTreeMap;

use bulkhead_storage::{KnownDomain, Life, Pool, VolumeError, VolumeSpec};
use bulkhead_types::{DomainName, VolumeName};
use proptest::prelude::*;

use crate::killed::{Killer, survived};
use crate::life_cycle::{SIZES, name, quick};
use crate::place::{Kind, Place};

/// What a manager does to the domain of that number.
#[derive(Clone, Copy, Debug)]
enum Op {
    Create(usize),
    Start(usize),
    Write(usize, VolumeName, u8),
    Stop(usize),
    Abandon(usize),
    Remove(usize),
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let domain = 0..3_usize;
    let volume = prop::sample::select(VolumeName::ALL.to_vec());
    prop_oneof![
        3 => domain.clone().prop_map(Op::Create),
        4 => domain.clone().prop_map(Op::Start),
        4 => (domain.clone(), volume, 1..=u8::MAX).prop_map(|(d, v, mark)| Op::Write(d, v, mark)),
        3 => domain.clone().prop_map(Op::Stop),
        1 => domain.clone().prop_map(Op::Abandon),
        1 => domain.prop_map(Op::Remove),
        1 => Just(Op::Restart),
    ]
}

/// An operation, and after how many durable steps of it the manager is killed, if at all.
fn step() -> impl Strategy<Value = (Op, Option<usize>)> {
    (op(), prop::option::weighted(0.2, 0..8_usize))
}

/// A template, a domain based on it, and a disposable started from that domain.
fn domains() -> [(DomainName, Vec<VolumeSpec>); 3] {
    let (template, app) = (name("debian"), name("disp-base"));
    let of_app = VolumeSpec::of_app(&template, SIZES);
    let of_disposable = VolumeSpec::of_disposable(&template, &app, SIZES);
    [
        (template, VolumeSpec::of_template(SIZES)),
        (app, of_app),
        (name("disp1"), of_disposable),
    ]
}

/// What should be in a domain's volumes.
#[derive(Clone, Debug, Default)]
struct Expected {
    content: BTreeMap<VolumeName, u8>,
    run: Option<BTreeMap<VolumeName, u8>>,
    written: bool,
}

struct World {
    pool: Option<Pool>,
    place: Place,
    killer: Killer,
    domains: [(DomainName, Vec<VolumeSpec>); 3],
    model: BTreeMap<DomainName, Expected>,
}

impl World {
    fn new(kind: Kind) -> Self {
        let place = Place::new(kind);
        let killer = Killer::default();
        let pool = Some(place.open_with(killer.options()));
        Self {
            place,
            killer,
            pool,
            domains: domains(),
            model: BTreeMap::new(),
        }
    }

    fn apply(&mut self, op: Op, kill_after: Option<usize>) {
        let pool = self.pool.take().expect("open between operations");
        self.killer.arm(kill_after);
        let whole = survived(|| self.act(&pool, op));
        self.killer.arm(None);
        match whole {
            Some(()) => self.pool = Some(pool),
            None => {
                drop(pool);
                self.after_a_kill(op);
                self.restart();
            }
        }
        if matches!(op, Op::Restart) {
            self.pool = None;
            self.restart();
        }
        self.verify_invariants();
    }

    /// Does the operation and, once it is through, notes it in the model.
    fn act(&mut self, pool: &Pool, op: Op) {
        match op {
            Op::Create(d) => {
                let (name, volumes) = &self.domains[d];
                match pool.create(name, volumes, &[]) {
                    Ok(()) => assert!(self.model.insert(name.clone(), fresh(volumes)).is_none()),
                    Err(VolumeError::Exists(_)) => assert!(self.model.contains_key(name)),
                    Err(error) => panic!("{error}"),
                }
            }
            Op::Start(d) => self.start(pool, d),
            Op::Write(d, volume, mark) => self.write(d, volume, mark),
            Op::Stop(d) => {
                let (name, volumes) = &self.domains[d];
                pool.stop(name, volumes).unwrap();
                note_stop(self.model.get_mut(name), volumes);
            }
            Op::Abandon(d) => {
                let (name, volumes) = &self.domains[d];
                let Some(expected) = self.model.get_mut(name).filter(|e| !e.written) else {
                    return;
                };
                pool.abandon(name, volumes).unwrap();
                expected.run = None;
            }
            Op::Remove(d) => {
                let (name, _) = &self.domains[d];
                // The manager forgets a domain first.
                self.model.remove(name);
                pool.remove(name).unwrap();
            }
            Op::Restart => {}
        }
    }

    fn start(&mut self, pool: &Pool, d: usize) {
        let (name, volumes) = &self.domains[d];
        let Some(expected) = self.model.get(name) else {
            return;
        };
        if expected.run.is_some() {
            return;
        }
        let source_missing = volumes
            .iter()
            .any(|v| matches!(&v.life, Life::CopyOf(source) if !self.has_content(source, v.name)));
        match pool.start(name, volumes) {
            Ok(_) => {
                assert!(!source_missing);
                let run = volumes
                    .iter()
                    .map(|v| (v.name, self.content_at_start(name, v)));
                let run = run.collect();
                self.model.get_mut(name).expect("looked up above").run = Some(run);
            }
            Err(VolumeError::NoSource { .. }) => assert!(source_missing),
            Err(error) => panic!("{error}"),
        }
    }

    fn has_content(&self, domain: &DomainName, volume: VolumeName) -> bool {
        let expected = self.model.get(domain);
        expected.is_some_and(|e| e.content.contains_key(&volume))
    }

    fn content_at_start(&self, domain: &DomainName, volume: &VolumeSpec) -> u8 {
        let of = |owner: &DomainName| self.model[owner].content[&volume.name];
        match &volume.life {
            Life::Kept => of(domain),
            Life::CopyOf(source) => of(source),
            Life::Scratch => 0,
        }
    }

    fn write(&mut self, d: usize, volume: VolumeName, mark: u8) {
        let (name, _) = &self.domains[d];
        let Some(expected) = self.model.get_mut(name) else {
            return;
        };
        if let Some(run) = &mut expected.run {
            let content = self.place.volume(name, volume.as_str());
            let working_copy = format!("{}.run", content.display());
            self.place.write(working_copy.as_ref(), mark);
            run.insert(volume, mark);
            expected.written = true;
        }
    }

    /// What the interrupted operation comes to, once the repair has been made.
    fn after_a_kill(&mut self, op: Op) {
        let d = match op {
            Op::Create(d) | Op::Start(d) | Op::Stop(d) | Op::Abandon(d) => d,
            Op::Remove(_) | Op::Write(..) | Op::Restart => return,
        };
        let (name, volumes) = &self.domains[d];
        // Its domain is not taken for a running one, so its run is put away. A copy that
        // nobody wrote to commits what was there before.
        note_stop(self.model.get_mut(name), volumes);
    }

    fn restart(&mut self) {
        let pool = self.place.open_with(self.killer.options());
        let known = |(name, volumes): &(DomainName, Vec<VolumeSpec>)| {
            let expected = self.model.get(name)?;
            Some(KnownDomain {
                name: name.clone(),
                volumes: volumes.clone(),
                running: expected.run.is_some(),
            })
        };
        let known: Vec<_> = self.domains.iter().filter_map(known).collect();
        let repaired = pool.repair(&known).unwrap();
        assert!(repaired.missing.is_empty(), "{repaired:?}");
        self.pool = Some(pool);
    }

    fn verify_invariants(&self) {
        let mut names = Vec::new();
        for (name, expected) in &self.model {
            names.push(format!("{name}/"));
            for (volume, mark) in &expected.content {
                let path = self.place.volume(name, volume.as_str());
                assert_eq!(self.place.read(&path), *mark, "{name}'s {volume}");
                names.push(format!("{name}/{volume}"));
            }
            for (volume, mark) in expected.run.iter().flatten() {
                let path = self.place.volume(name, volume.as_str());
                let run = format!("{}.run", path.display());
                assert_eq!(
                    self.place.read(run.as_ref()),
                    *mark,
                    "{name}'s running {volume}"
                );
                names.push(format!("{name}/{volume}.run"));
            }
        }
        names.sort();
        let there: Vec<_> = self.place.names();
        let (revisions, there): (Vec<_>, Vec<_>) =
            there.into_iter().partition(|name| name.contains(".rev-"));
        assert_eq!(there, names);
        // How many commits a kill repeats is not part of the promise; the limit is.
        for (name, volumes) in &self.domains {
            for volume in volumes {
                let prefix = format!("{name}/{}.rev-", volume.name);
                let count = revisions.iter().filter(|r| r.starts_with(&prefix)).count();
                assert!(count <= quick().revisions_to_keep + 1, "{revisions:?}");
            }
        }
    }
}

fn fresh(volumes: &[VolumeSpec]) -> Expected {
    let kept = volumes.iter().filter(|volume| volume.life == Life::Kept);
    Expected {
        content: kept.map(|volume| (volume.name, 0)).collect(),
        ..Expected::default()
    }
}

fn note_stop(expected: Option<&mut Expected>, volumes: &[VolumeSpec]) {
    let Some(expected) = expected else { return };
    let Some(run) = expected.run.take() else {
        return;
    };
    expected.written = false;
    for volume in volumes.iter().filter(|volume| volume.life == Life::Kept) {
        expected.content.insert(volume.name, run[&volume.name]);
    }
}

fn play(kind: Kind, steps: Vec<(Op, Option<usize>)>) {
    let mut world = World::new(kind);
    for (op, kill_after) in steps {
        world.apply(op, kill_after);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn folders_always_hold_what_the_model_says(steps in prop::collection::vec(step(), 1..40)) {
        play(Kind::Folders, steps);
    }
}

proptest! {
    // Each case mounts a file system of its own.
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn images_always_hold_what_the_model_says(steps in prop::collection::vec(step(), 1..40)) {
        play(Kind::Images, steps);
    }
}
