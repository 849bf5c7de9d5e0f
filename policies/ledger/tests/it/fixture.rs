// SPDX-License-Identifier: GPL-3.0-or-later
//! A ledger in a folder, and its bytes.

use std::convert::Infallible;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use policy_ledger::{
    Decision, Entry, Event, Expected, Ledger, Limits, SealKey, Verified, entries, snapshot, verify,
};

pub struct Folder {
    root: tempfile::TempDir,
}

impl Folder {
    pub fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
        }
    }

    pub fn ledger(&self) -> PathBuf {
        self.root.path().join("ledger")
    }

    pub fn open(&self, limits: Limits) -> Ledger {
        let key = SealKey::load_or_make(&self.root.path().join("seal.key")).unwrap();
        Ledger::open(&self.ledger(), key, limits, "boot-1").unwrap()
    }

    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.ledger()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub fn entries(&self) -> Vec<Entry> {
        let mut all = Vec::new();
        entries(&snapshot(&self.ledger()).unwrap(), |entry| {
            all.push(entry);
            true
        })
        .unwrap();
        all
    }

    pub fn verified(&self) -> Verified {
        Bytes::read(&self.ledger()).verified()
    }
}

/// What lies in a ledger's folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Bytes {
    pub segments: Vec<(String, Vec<u8>)>,
    pub head: Vec<u8>,
    pub key: String,
    pub live: bool,
}

impl Bytes {
    pub fn read(directory: &Path) -> Self {
        let snapshot = snapshot(directory).unwrap();
        let segments = snapshot.segments.into_iter().map(|(name, mut file)| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            (name, bytes)
        });
        Self {
            segments: segments.collect(),
            head: snapshot.head.unwrap_or_default(),
            key: snapshot.key.unwrap_or_default(),
            live: snapshot.live,
        }
    }

    pub fn verified(&self) -> Verified {
        let expected = Expected {
            head: Some(self.head.clone()),
            key: Some(self.key.clone()),
            noted: None,
            live: self.live,
        };
        let segments = self.segments.iter().cloned().map(Ok::<_, Infallible>);
        verify(segments, &expected).unwrap()
    }
}

pub fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_667_400 + seconds)
}

pub fn decision(service: &str) -> Event {
    Event::Decision(Decision {
        source: "work".into(),
        service: service.into(),
        verdict: "deny".into(),
        reason: Some("no rule allows the call".into()),
        ..Decision::default()
    })
}
