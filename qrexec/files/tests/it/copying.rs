// SPDX-License-Identifier: GPL-3.0-or-later
//! A copy from folder to folder, and what a hostile sender gets.

use std::fs;
use std::io::{Write, pipe};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;

use bulkhead_files::receive::{Incoming, ReceiveError, receive};
use bulkhead_files::send::{SendError, Sent, remove, send};
use bulkhead_files::wire::{Answer, Encoder, Header, Kind, Limits, NameRule, Outcome};
use bulkhead_types::DomainName;
use nix::errno::Errno;
use tempfile::TempDir;

/// Two homes: one to send from, one to receive in.
struct Homes {
    here: TempDir,
    there: TempDir,
}

impl Homes {
    fn new() -> Self {
        Self {
            here: TempDir::new().unwrap(),
            there: TempDir::new().unwrap(),
        }
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.here.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn arrived(&self) -> PathBuf {
        self.there.path().join("QubesIncoming/work")
    }

    fn incoming(&self) -> Incoming {
        Incoming::open(self.there.path(), &DomainName::parse("work").unwrap()).unwrap()
    }

    fn copy(&self, paths: &[PathBuf]) -> Result<Sent, SendError> {
        let (data_out, data_in) = pipe().map(|(r, w)| (w, r)).unwrap();
        let (answer_in, mut answer_out) = pipe().unwrap();
        let incoming = self.incoming();
        let receiver = thread::spawn(move || {
            let (answer, _) = receive(data_in, &incoming, NameRule::Plain, Limits::default());
            // A sender that failed on its own no longer listens.
            let _ = answer_out.write_all(&answer.encode());
        });
        let sent = send(paths, "work", data_out, answer_in, |_| {});
        receiver.join().unwrap();
        sent
    }

    /// Hands bytes to the receiver as a hostile sender would.
    fn attack(&self, bytes: &[u8]) -> (Answer, Result<(), ReceiveError>) {
        receive(bytes, &self.incoming(), NameRule::Plain, Limits::default())
    }
}

fn header(kind: Kind, length: u64) -> Header {
    Header {
        mode: kind.type_bits() | 0o644,
        content_length: length,
        ..Header::default()
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn folders_that_are_never_finished_are_not_remembered_without_end() {
    let homes = Homes::new();
    let mut encoder = Encoder::new();
    let mut bytes = Vec::new();
    let mut folder = |name: &str| {
        let header = header(Kind::Folder, 0);
        bytes.extend(encoder.entry(header, name.as_bytes()).unwrap());
    };
    let part = "d".repeat(255);
    let deep: Vec<String> = (1..=14)
        .map(|depth| vec![part.as_str(); depth].join("/"))
        .collect();
    deep.iter().for_each(|name| folder(name));
    let deepest = deep.last().unwrap();
    for n in 0..5000 {
        folder(&format!("{deepest}/{n}"));
    }
    let (answer, result) = homes.attack(&bytes);
    assert_eq!(answer.outcome, Outcome::Failed(Errno::EDQUOT));
    assert!(matches!(result, Err(ReceiveError::Write(Errno::EDQUOT))));
    let made = names(&homes.arrived().join(deepest)).len();
    assert!((4000..5000).contains(&made), "{made}");
}

#[test]
fn a_tree_arrives_with_content_permissions_times_and_links() {
    let homes = Homes::new();
    homes.write("project/notes.txt", b"hello");
    homes.write("project/empty", b"");
    let big: Vec<u8> = (0..700_000u32).map(|n| n.to_le_bytes()[0]).collect();
    let script = homes.write("project/deep/run.sh", &big);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o750)).unwrap();
    symlink("../notes.txt", homes.here.path().join("project/deep/link")).unwrap();
    let deep = homes.here.path().join("project/deep");
    fs::set_permissions(&deep, fs::Permissions::from_mode(0o500)).unwrap();
    let single = homes.write("single", b"one");

    homes
        .copy(&[homes.here.path().join("project"), single])
        .unwrap();

    let there = homes.arrived();
    assert_eq!(names(&there), ["project", "single"]);
    assert_eq!(fs::read(there.join("project/notes.txt")).unwrap(), b"hello");
    assert_eq!(fs::read(there.join("project/deep/run.sh")).unwrap(), big);
    let (before, after) = (
        script.metadata().unwrap(),
        there.join("project/deep/run.sh"),
    );
    let after = after.metadata().unwrap();
    assert_eq!(
        (after.mode(), after.mtime_nsec()),
        (before.mode(), before.mtime_nsec())
    );
    assert_eq!(
        there.join("project/deep").metadata().unwrap().mode() & 0o777,
        0o500
    );
    let target = fs::read_link(there.join("project/deep/link")).unwrap();
    assert_eq!(target, Path::new("../notes.txt"));
    fs::set_permissions(&deep, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn what_was_moved_is_removed_here_and_nothing_else() {
    let homes = Homes::new();
    homes.write("project/a", b"a");
    let sent = homes.copy(&[homes.here.path().join("project")]).unwrap();
    homes.write("project/came-later", b"");
    assert_eq!(remove(&sent).unwrap(), [homes.here.path().join("project")]);
    assert_eq!(names(&homes.here.path().join("project")), ["came-later"]);
}

#[test]
fn a_name_that_exists_is_not_replaced_and_the_sender_learns_which() {
    let homes = Homes::new();
    let path = homes.write("a.txt", b"new");
    fs::create_dir_all(homes.arrived()).unwrap();
    for plant in ["file", "folder", "link"] {
        let taken = homes.arrived().join("a.txt");
        match plant {
            "file" => fs::write(&taken, "old").unwrap(),
            "folder" => fs::create_dir(&taken).unwrap(),
            _ => symlink("/nowhere", &taken).unwrap(),
        }
        let error = homes.copy(std::slice::from_ref(&path)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`a.txt` exists already in work; remove it there and try again"
        );
        if fs::remove_dir(&taken).is_err() {
            fs::remove_file(&taken).unwrap();
        }
    }
}

#[test]
fn a_file_that_is_cut_off_leaves_no_trace() {
    let homes = Homes::new();
    let mut bytes = Encoder::new()
        .entry(header(Kind::File, 10), b"half")
        .unwrap();
    bytes.extend_from_slice(b"12345");
    let (answer, result) = homes.attack(&bytes);
    assert!(matches!(result, Err(ReceiveError::CutOff)));
    assert_eq!(answer.outcome, Outcome::Failed(Errno::EREMOTEIO));
    assert_eq!(answer.last_name.as_deref(), Some(b"half".as_slice()));
    assert_eq!(names(&homes.arrived()), [""; 0]);
}

#[test]
fn an_incomplete_file_is_nowhere_to_be_found_and_a_complete_one_stays() {
    let homes = Homes::new();
    let mut encoder = Encoder::new();
    let mut bytes = encoder.entry(header(Kind::File, 1), b"whole").unwrap();
    bytes.extend_from_slice(encoder.content(b"w"));
    bytes.extend(encoder.entry(header(Kind::File, 9), b"part").unwrap());
    let (data_in, mut data_out) = pipe().unwrap();
    let incoming = homes.incoming();
    let receiver = thread::spawn(move || {
        receive(data_in, &incoming, NameRule::Plain, Limits::default())
            .0
            .outcome
    });
    data_out.write_all(&bytes).unwrap();
    data_out.write_all(b"1234").unwrap();
    drop(data_out);
    assert_eq!(receiver.join().unwrap(), Outcome::Failed(Errno::EREMOTEIO));
    assert_eq!(names(&homes.arrived()), ["whole"]);
}

#[test]
fn the_end_between_two_entries_is_the_senders_own_affair() {
    let homes = Homes::new();
    let bytes = Encoder::new()
        .entry(header(Kind::Folder, 0), b"folder")
        .unwrap();
    let (answer, _) = homes.attack(&bytes);
    assert_eq!(answer.outcome, Outcome::EndedEarly);
}

#[test]
fn links_in_the_way_are_never_followed() {
    let homes = Homes::new();
    let outside = TempDir::new().unwrap();
    fs::create_dir_all(homes.arrived()).unwrap();
    symlink(outside.path(), homes.arrived().join("folder")).unwrap();
    let mut encoder = Encoder::new();
    let mut bytes = encoder
        .entry(header(Kind::File, 1), b"folder/file")
        .unwrap();
    bytes.extend_from_slice(encoder.content(b"x"));
    let (answer, _) = homes.attack(&bytes);
    assert_eq!(answer.outcome, Outcome::Failed(Errno::ELOOP));
    assert_eq!(names(outside.path()), [""; 0]);

    // The incoming folder itself turned into a link.
    let home = TempDir::new().unwrap();
    symlink(outside.path(), home.path().join("QubesIncoming")).unwrap();
    let refused = Incoming::open(home.path(), &DomainName::parse("work").unwrap()).unwrap_err();
    assert_eq!(refused.source, Errno::ELOOP);
}

#[test]
fn a_folder_that_is_swapped_during_the_copy_leads_nowhere() {
    let homes = Homes::new();
    let outside = TempDir::new().unwrap();
    let (data_in, mut data_out) = pipe().unwrap();
    let (answer_in, mut answer_out) = pipe().unwrap();
    let incoming = homes.incoming();
    let receiver = thread::spawn(move || {
        let (answer, _) = receive(data_in, &incoming, NameRule::Plain, Limits::default());
        answer_out.write_all(&answer.encode()).unwrap();
    });
    let mut encoder = Encoder::new();
    data_out
        .write_all(&encoder.entry(header(Kind::Folder, 0), b"f").unwrap())
        .unwrap();
    data_out
        .write_all(&encoder.entry(header(Kind::File, 0), b"f/first").unwrap())
        .unwrap();
    // Swapped at whatever point the receiver is: before or after `f/first`.
    let folder = homes.arrived().join("f");
    while fs::rename(&folder, homes.arrived().join("g")).is_err() {
        thread::yield_now();
    }
    symlink(outside.path(), &folder).unwrap();
    // The receiver may have met the link already, and reads no more then.
    let _ = data_out.write_all(&encoder.entry(header(Kind::File, 0), b"f/second").unwrap());
    let _ = data_out.write_all(&encoder.end());
    drop(data_out);
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut { answer_in }, &mut answer).unwrap();
    receiver.join().unwrap();
    assert!(matches!(
        Answer::decode(&answer).unwrap().outcome,
        Outcome::Failed(_)
    ));
    assert_eq!(names(outside.path()), [""; 0]);
}

#[test]
fn a_folder_of_an_earlier_copy_is_not_added_to() {
    let homes = Homes::new();
    homes.write("project/a", b"a");
    let project = homes.here.path().join("project");
    homes.copy(std::slice::from_ref(&project)).unwrap();
    let again = homes.copy(&[project]).unwrap_err();
    assert!(
        again.to_string().starts_with("`project` exists already"),
        "{again}"
    );
}

#[test]
fn a_full_disk_is_reported_with_the_file_it_struck() {
    let homes = Homes::new();
    let path = homes.write("big", b"content");
    let full = Answer {
        outcome: Outcome::Failed(Errno::ENOSPC),
        checksum: 0,
        last_name: Some(b"big".to_vec()),
    };
    let error = send(&[path], "work", std::io::sink(), &full.encode()[..], |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "the disk of work is full at `big`");
}

#[test]
fn success_is_not_believed_when_the_checksums_differ() {
    let homes = Homes::new();
    let path = homes.write("a", b"content");
    let lie = Answer {
        outcome: Outcome::Complete,
        checksum: 1,
        last_name: None,
    };
    let error = send(&[path], "work", std::io::sink(), &lie.encode()[..], |_| {}).unwrap_err();
    assert!(matches!(error, SendError::Damaged));
}

#[test]
fn a_pipe_or_a_missing_file_is_not_sent() {
    let homes = Homes::new();
    let pipe = homes.here.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(homes.copy(&[pipe]), Err(SendError::Kind(_))));
    let missing = homes.here.path().join("missing");
    assert!(matches!(
        homes.copy(&[missing]),
        Err(SendError::Read { .. })
    ));
    assert!(matches!(
        homes.copy(&["/".into()]),
        Err(SendError::Nameless(_))
    ));
}
