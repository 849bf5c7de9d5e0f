// SPDX-License-Identifier: GPL-3.0-or-later
//! Sets of policy files, switched to at once.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io;
use std::path::Path;

use policy_generations::{
    About, Files, Keeping, Keys, Manifest, SigningKey, Store, StoreError, live_files,
};

fn set(version: u32) -> Files {
    Files::from([
        (
            "30-user.policy".to_owned(),
            format!("s * work vault allow user=u{version}\n").into(),
        ),
        ("30-user.test".to_owned(), b"# nothing\n".to_vec()),
        (
            "include/x".to_owned(),
            format!("# {version}\n").into_bytes(),
        ),
    ])
}

fn manifest(store: &Store, files: &Files) -> Manifest {
    let (number, parent) = store.next().unwrap();
    let about = About {
        author: "root".to_owned(),
        time: "2026-11-26T05:00:00Z".to_owned(),
        message: "because".to_owned(),
    };
    Manifest::new(number, about, parent, files)
}

fn apply(store: &Store, version: u32) {
    let files = set(version);
    let manifest = manifest(store, &files);
    store
        .apply(&Keys::default(), &manifest, &files, &[])
        .unwrap();
}

#[test]
fn the_last_set_is_live_and_an_older_one_can_be_again() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::at(root.path().join("policy"));
    assert_eq!(live_files(&store, &Keys::default()).unwrap(), None);
    apply(&store, 1);
    apply(&store, 2);
    assert_eq!(store.live().unwrap(), Some(2));
    let (second, files) = store.verified(2).unwrap();
    assert_eq!(files, set(2));
    assert_eq!(second.manifest.parent, Some(store.read(1).unwrap().sha256));
    let text = fs::read_to_string(store.current().join("include/x")).unwrap();
    assert_eq!(text, "# 2\n");
    store
        .roll_back(&Keys::default(), 1, "root", "2026-11-26T06:00:00Z")
        .unwrap();
    assert_eq!(store.live().unwrap(), Some(1));
    apply(&store, 3);
    assert_eq!(
        (store.live().unwrap(), store.numbers().unwrap()),
        (Some(3), vec![1, 2, 3])
    );
    assert!(matches!(
        store.roll_back(&Keys::default(), 9, "root", "2026-11-26T06:00:00Z"),
        Err(StoreError::None(9))
    ));
}

#[test]
fn what_was_altered_is_not_live() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::at(root.path());
    apply(&store, 1);
    for (path, text) in [
        ("30-user.policy", "* * * * allow\n"),
        ("99-more.policy", ""),
    ] {
        let file = store.files_of(1).join(path);
        let before = fs::read(&file).ok();
        fs::write(&file, text).unwrap();
        let error = live_files(&store, &Keys::default()).unwrap_err();
        assert!(error.to_string().contains(path), "{error}");
        match before {
            Some(bytes) => fs::write(&file, bytes).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
    }
    fs::remove_file(store.files_of(1).join("include/x")).unwrap();
    assert!(matches!(
        live_files(&store, &Keys::default()),
        Err(StoreError::Damaged { number: 1, .. })
    ));
}

/// Keeps the newest three, however young the others are.
fn newest_three() -> Keeping {
    Keeping {
        newest: 3,
        since: "9".to_owned(),
    }
}

/// The machine stops before every durable step of a change, over and over: ten thousand times. Old
/// generations go after each.
#[test]
fn a_crash_at_any_point_leaves_the_old_set_or_the_new_one() {
    // In memory, where there is such a place: thousands of changes are brought to the disk.
    let memory = Path::new("/dev/shm");
    let root = match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    };
    let store = Store::at(root.path());
    apply(&store, 0);
    let (mut crashes, mut prunings, mut version, mut at) = (0, 0, 1, 0);
    while crashes < 10_000 {
        let files = set(version);
        let manifest = manifest(&store, &files);
        let before = store.live().unwrap();
        let mut left = at;
        let mut step = || {
            if left == 0 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            left -= 1;
            Ok(())
        };
        let keys = Keys::default();
        let applied = store.apply_by_steps(&keys, &manifest, &files, &[], &mut step);
        let outcome = applied.and_then(|()| {
            assert_eq!(store.live().unwrap(), Some(manifest.number));
            store.prune_by_steps(&newest_three(), "now", &mut step)
        });
        let live = store.live().unwrap();
        let (_, found) = store.verified(live.unwrap()).unwrap();
        assert!(live == before || found == files, "{live:?}");
        // What was live before can be gone back to, and so can what is to be kept.
        let numbers = store.numbers().unwrap();
        let kept = numbers.iter().rev().take(3).chain(&before);
        for number in kept {
            store.verified(*number).unwrap();
        }
        // Of the others, whoever lacks a file says so.
        for number in numbers {
            let whole = store.pruned(number).is_some() || store.files_of(number).exists();
            assert!(whole, "{number}");
        }
        match outcome {
            Ok(pruned) => {
                prunings += pruned.len();
                (version, at) = (version + 1, 0);
            }
            Err(_) if live == before => {
                crashes += 1;
                at += 1;
            }
            Err(_) => {
                // The change stands; what was to go goes after the next.
                crashes += 1;
                at += 1;
                version += 1;
            }
        }
        forget_the_oldest(root.path(), &store);
    }
    assert!(version > 100 && prunings > 100, "{version} {prunings}");
}

/// What is long pruned is not in the way of a quick test.
fn forget_the_oldest(root: &Path, store: &Store) {
    for number in store.numbers().unwrap() {
        let place = root.join(format!("generations/{number:06}"));
        let gone = !place.join("files").exists() && !place.join("going").exists();
        if gone && store.pruned(number).is_some() {
            fs::remove_dir_all(place).unwrap();
        }
    }
}

#[test]
fn old_sets_lose_their_files_and_keep_their_names() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::at(root.path().join("policy"));
    let keys = Keys::default();
    let keep = |newest, since: &str| Keeping {
        newest,
        since: since.to_owned(),
    };
    assert!(store.prune(&keep(2, "9"), "now").unwrap().is_empty());
    for version in 1..=6 {
        apply(&store, version);
    }
    // All are of one day, which is young enough.
    let prune = |keeping: &Keeping| store.prune(keeping, "2026-11-27T00:00:00Z").unwrap();
    assert!(prune(&keep(2, "2026-11-26T05:00:00Z")).is_empty());
    assert_eq!(prune(&keep(5, "2026-11-27")), [1]);
    assert_eq!(store.pruned(1).unwrap().time, "2026-11-27T00:00:00Z");
    assert_eq!(store.read(1).unwrap().manifest.about.message, "because");
    let back = store.roll_back(&keys, 1, "root", "2026-11-27T00:00:00Z");
    assert_eq!(
        back.unwrap_err().to_string(),
        "the files of generation 1 are no longer kept: it was pruned"
    );
    assert_eq!(store.live().unwrap(), Some(6));
    // The live one and the one before it stay, whatever their numbers.
    for number in [3, 2] {
        let rolled = store.roll_back(&keys, number, "root", "2026-11-27T00:00:00Z");
        rolled.unwrap();
    }
    assert_eq!(prune(&keep(0, "2026-11-27")), [4]);
    for number in [2, 3, 5, 6] {
        assert_eq!(store.verified(number).unwrap().1, set(number as u32));
    }
    assert_eq!(store.numbers().unwrap(), [1, 2, 3, 4, 5, 6]);
    apply(&store, 7);
    assert_eq!(prune(&keep(0, "2026-11-27")), [3, 5]);
    store
        .roll_back(&keys, 2, "root", "2026-11-27T00:00:00Z")
        .unwrap();
    assert!(live_files(&store, &keys).unwrap().is_some());
}

#[test]
fn what_a_pruned_set_was_signed_for_stays_signed_for() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::at(root.path().join("policy"));
    let alice = key(root.path(), "alice", "30-*\ninclude/*");
    let bob = key(root.path(), "bob", "90-*");
    let keys = Keys::read(&root.path().join("keys")).unwrap();
    let mut files = set(1);
    files.insert("90-default.policy".to_owned(), b"* * * * deny\n".to_vec());
    let try_with = |files: &Files, signers: &[&SigningKey]| {
        let manifest = manifest(&store, files);
        let bytes = manifest.to_bytes();
        let signatures: Vec<_> = signers.iter().map(|key| key.sign(&bytes)).collect();
        store.apply(&keys, &manifest, files, &signatures)
    };
    try_with(&files, &[&alice, &bob]).unwrap();
    for version in 2..6 {
        files.insert(
            "30-user.policy".to_owned(),
            format!("# {version}\n").into_bytes(),
        );
        try_with(&files, &[&alice]).unwrap();
        store.prune(&newest_three(), "now").unwrap();
    }
    assert!(store.pruned(1).is_some(), "bob signed for this one alone");
    assert_eq!(live_files(&store, &keys).unwrap().unwrap().number, 5);
}

fn key(root: &Path, name: &str, owns: &str) -> SigningKey {
    let key = SigningKey::make(&root.join(format!("{name}.key"))).unwrap();
    fs::create_dir_all(root.join("keys")).unwrap();
    let text = format!("# {name}\n{}\n{owns}\n", key.public_hex());
    fs::write(root.join(format!("keys/{name}.pub")), text).unwrap();
    key
}

#[test]
fn owners_sign_for_their_files_and_for_no_others() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::at(root.path().join("policy"));
    let alice = key(root.path(), "alice", "30-*\ninclude/*");
    let bob = key(root.path(), "bob", "90-*");
    let stranger = SigningKey::make(&root.path().join("stranger.key")).unwrap();
    let keys = Keys::read(&root.path().join("keys")).unwrap();
    let mut files = set(1);
    files.insert("90-default.policy".to_owned(), b"* * * * deny\n".to_vec());
    let try_with = |files: &Files, signers: &[&SigningKey]| {
        let manifest = manifest(&store, files);
        let bytes = manifest.to_bytes();
        let signatures: Vec<_> = signers.iter().map(|key| key.sign(&bytes)).collect();
        store.apply(&keys, &manifest, files, &signatures)
    };
    let unsigned = |outcome: Result<(), StoreError>| outcome.unwrap_err().to_string();
    assert_eq!(
        unsigned(try_with(&files, &[&alice])),
        "no owner has signed for 90-default.policy"
    );
    assert!(unsigned(try_with(&files, &[&stranger])).contains("30-user.policy"));
    try_with(&files, &[&alice, &bob]).unwrap();
    // What bob signed for is unchanged, so alice alone can change hers; not his.
    files.insert("30-user.policy".to_owned(), b"".to_vec());
    try_with(&files, &[&alice]).unwrap();
    files.insert("90-default.policy".to_owned(), b"* * * * allow\n".to_vec());
    assert!(unsigned(try_with(&files, &[&alice])).contains("90-default.policy"));
    assert_eq!(live_files(&store, &keys).unwrap().unwrap().number, 2);
    // Whoever alters a signed set has altered a file.
    fs::write(store.files_of(2).join("30-user.policy"), "* * * * allow\n").unwrap();
    assert!(live_files(&store, &keys).is_err());
}

#[test]
fn a_signature_is_good_for_its_manifest_alone() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::at(root.path().join("policy"));
    let owner = key(root.path(), "owner", "");
    let keys = Keys::read(&root.path().join("keys")).unwrap();
    let first = manifest(&store, &set(1));
    let signature = owner.sign(&first.to_bytes());
    let other = manifest(&store, &set(2));
    assert!(
        store
            .apply(&keys, &other, &set(2), std::slice::from_ref(&signature))
            .is_err()
    );
    store.apply(&keys, &first, &set(1), &[signature]).unwrap();
}

#[test]
fn a_key_that_cannot_be_read_stops_everything() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a.pub"), "no key\n").unwrap();
    assert!(Keys::read(root.path()).is_err());
    assert!(Keys::read(&root.path().join("none")).unwrap().is_empty());
    let path = root.path().join("k");
    SigningKey::make(&path).unwrap();
    assert!(SigningKey::make(&path).is_err());
}
