// SPDX-License-Identifier: GPL-3.0-or-later
//! Every target survives its seeds and many mutations of them. The mutations come from a
//! fixed seed; `HOSTILE_MUTATIONS` sets how many each target gets.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use hostile::{TARGETS, Target};

const MUTATIONS: usize = 20_000;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let files = fs::read_dir(corpus().join(name)).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Runs a target; a finding is shown with the bytes that made it.
fn survive(name: &str, target: Target, data: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| target(data))).is_err() {
        panic!("{name} does not survive b\"{}\"", data.escape_ascii());
    }
}

/// xorshift64*: small, fast, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit.max(1)
    }
}

/// Values that lengths and indices are least likely to be ready for.
const EDGES: [u32; 9] = [
    0,
    1,
    7,
    8,
    0x7f,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff8,
    0xffff_ffff,
];

fn mutate(seeds: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut data = seeds[numbers.below(seeds.len())].clone();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(data.len());
        match numbers.below(7) {
            0 if !data.is_empty() => data[at] = numbers.next() as u8,
            1 if !data.is_empty() => data[at] ^= 1 << numbers.below(8),
            2 => data.truncate(at),
            3 => data.insert(at, numbers.next() as u8),
            4 => {
                let at = at & !3;
                if let Some(word) = data.get_mut(at..at + 4) {
                    word.copy_from_slice(&EDGES[numbers.below(EDGES.len())].to_le_bytes());
                }
            }
            5 => {
                let other = &seeds[numbers.below(seeds.len())];
                let from = numbers.below(other.len());
                data.splice(at..at, other[from..].iter().copied().take(64));
            }
            _ => {
                let end = data.len().min(at + numbers.below(16));
                data.drain(at.min(end)..end);
            }
        }
    }
    data
}

fn mutations() -> usize {
    let asked = std::env::var("HOSTILE_MUTATIONS");
    asked.ok().and_then(|n| n.parse().ok()).unwrap_or(MUTATIONS)
}

#[test]
fn every_target_survives_its_seeds_and_their_mutations() {
    let mutations = mutations();
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for seed in &seeds {
            survive(name, target, seed);
        }
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        for _ in 0..mutations {
            survive(name, target, &mutate(&seeds, &mut numbers));
        }
    }
}

#[test]
fn every_target_survives_every_short_input() {
    for (name, target) in TARGETS {
        survive(name, target, b"");
        for first in 0..=255 {
            survive(name, target, &[first]);
            survive(name, target, &[8, first]);
            survive(name, target, &[first; 64]);
        }
    }
}

#[test]
fn each_folder_of_seeds_and_each_program_has_its_target() {
    let named = |name: &str| TARGETS.iter().any(|(known, _)| *known == name);
    for folder in fs::read_dir(corpus()).unwrap() {
        let name = folder.unwrap().file_name();
        assert!(named(&name.to_string_lossy()), "{name:?}");
    }
    let programs = corpus().join("../fuzz_targets");
    for (name, _) in TARGETS {
        let program = fs::read_to_string(programs.join(format!("{name}.rs"))).unwrap();
        assert!(program.contains(&format!("{name:?}")), "{name}");
    }
    assert_eq!(fs::read_dir(programs).unwrap().count(), TARGETS.len());
}
