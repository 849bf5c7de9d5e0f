// SPDX-License-Identifier: GPL-3.0-or-later
//! How the writer of a ledger begins: one at a time, where the one before it ended.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::end::end_of;
use crate::head::{Head, HeadFile};
use crate::record::Event;
use crate::rotation::Limits;
use crate::seal::SealKey;
use crate::segments::{self, CURRENT};
use crate::writer::{Ledger, LedgerError};

impl Ledger {
    /// Opens the ledger in a directory, or begins one, and goes on where it ends. `boot` is what
    /// the first record tells of the machine's boot.
    ///
    /// # Errors
    ///
    /// A file cannot be opened, or another process has the ledger.
    pub fn open(
        directory: &Path,
        key: SealKey,
        limits: Limits,
        boot: &str,
    ) -> Result<Self, LedgerError> {
        let path = directory.join(CURRENT);
        let failed = |source| LedgerError::Open {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(directory).map_err(failed)?;
        let lock = appending(&segments::lock_path(directory)).map_err(failed)?;
        if lock.try_lock().is_err() {
            return Err(LedgerError::InUse { path });
        }
        let mut file = appending(&path).map_err(failed)?;
        let end = end_of(&mut file, directory).map_err(failed)?;
        let (head_file, noted) = HeadFile::open(directory).map_err(failed)?;
        let public = key.public_hex();
        publish_key(directory, &public).map_err(failed)?;
        if noted.is_none() && end.head == Head::genesis() {
            // A ledger that has only begun can be verified as well.
            head_file.write(&end.head).map_err(failed)?;
        }
        let noted = noted.map_or(0, |head| head.sequence);
        let lost = noted.saturating_sub(end.head.sequence);
        let start = Event::Start {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot: boot.to_owned(),
            key: public,
            torn: end.torn,
            lost,
        };
        let head = Head {
            sequence: end.head.sequence + lost,
            ..end.head
        };
        Ok(Self {
            directory: directory.to_owned(),
            file,
            head_file,
            key,
            limits,
            head,
            length: end.length,
            first: end.first.unwrap_or(head.sequence + 1),
            unsealed: 0,
            start: Some(start),
            buffer: Vec::new(),
            _lock: lock,
        })
    }
}

/// Opens a file to add to it.
pub(crate) fn appending(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o640);
    options.open(path)
}

/// Written over in place only when it differs, so that a reader finds it whole.
fn publish_key(directory: &Path, public: &str) -> io::Result<()> {
    let path = segments::public_key_path(directory);
    let text = format!("{public}\n");
    if fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let aside = path.with_extension("pub.new");
    fs::write(&aside, text)?;
    fs::rename(aside, path)
}
