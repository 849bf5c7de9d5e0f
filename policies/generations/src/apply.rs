// SPDX-License-Identifier: GPL-3.0-or-later
//! What makes a generation live: a new one, or one of before. Each does so whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::keys::Keys;
use crate::manifest::{Activation, Files, Manifest, Signature};
use crate::store::{Generation, Store, StoreError, failed};

impl Store {
    /// Keeps a set as a generation, and makes it live.
    ///
    /// # Errors
    ///
    /// An owner's signature is missing, or the disk says no: then what was live still is.
    pub fn apply(
        &self,
        keys: &Keys,
        manifest: &Manifest,
        files: &Files,
        signatures: &[Signature],
    ) -> Result<(), StoreError> {
        self.apply_by_steps(keys, manifest, files, signatures, &mut || Ok(()))
    }

    /// As [`Self::apply`]; `step` is told before each durable step, and may stop there.
    #[doc(hidden)]
    pub fn apply_by_steps(
        &self,
        keys: &Keys,
        manifest: &Manifest,
        files: &Files,
        signatures: &[Signature],
        step: &mut dyn FnMut() -> io::Result<()>,
    ) -> Result<(), StoreError> {
        self.signed(keys, manifest, signatures)?;
        let mut disk = Disk { step };
        let root = &self.root;
        disk.make_directory(&self.generations())
            .map_err(failed("make", root))?;
        let _lock = self.lock()?;
        if self.next()? != (manifest.number, manifest.parent.clone()) {
            return Err(StoreError::Overtaken);
        }
        let place = self.directory(manifest.number);
        self.write(&mut disk, &place, manifest, files, signatures)
            .map_err(failed("write", &place))?;
        self.switch(
            &mut disk,
            &Activation {
                number: manifest.number,
                what: "apply".to_owned(),
                by: manifest.about.author.clone(),
                time: manifest.about.time.clone(),
                previous: self.previous(manifest.number)?,
            },
        )
    }

    /// What was live before a generation goes live.
    fn previous(&self, number: u64) -> Result<Option<u64>, StoreError> {
        let live = self.live()?;
        match live == Some(number) {
            true => Ok(self.activation(number).and_then(|note| note.previous)),
            false => Ok(live),
        }
    }

    fn write(
        &self,
        disk: &mut Disk<'_>,
        place: &Path,
        manifest: &Manifest,
        files: &Files,
        signatures: &[Signature],
    ) -> io::Result<()> {
        let aside = self.generations().join("new");
        disk.remove_all(&aside)?;
        let mut directories = vec![aside.clone(), aside.join("files")];
        disk.make_directory(&aside.join("files"))?;
        for (path, bytes) in files {
            let path = aside.join("files").join(path);
            if let Some(directory) = path
                .parent()
                .filter(|d| !directories.iter().any(|k| k == d))
            {
                disk.make_directory(directory)?;
                directories.push(directory.to_owned());
            }
            disk.write(&path, bytes)?;
        }
        disk.write(&aside.join("manifest.json"), &manifest.to_bytes())?;
        disk.write(
            &aside.join("signatures.json"),
            &serde_json::to_vec_pretty(signatures)?,
        )?;
        for directory in directories.iter().rev() {
            disk.sync(directory)?;
        }
        disk.rename(&aside, place)?;
        disk.sync(&self.generations())
    }

    /// Makes a generation live again, whatever is live now; `by` and `time` say who does, when.
    ///
    /// # Errors
    ///
    /// It is damaged, an owner's signature is missing, or the disk says no.
    pub fn roll_back(
        &self,
        keys: &Keys,
        number: u64,
        by: &str,
        time: &str,
    ) -> Result<Generation, StoreError> {
        // Under the lock, so that its files cannot go meanwhile.
        let _lock = self.lock()?;
        let (generation, _) = self.verified(number)?;
        self.signed(keys, &generation.manifest, &generation.signatures)?;
        let step = &mut || Ok(());
        self.switch(
            &mut Disk { step },
            &Activation {
                number,
                what: "rollback".to_owned(),
                by: by.to_owned(),
                time: time.to_owned(),
                previous: self.previous(number)?,
            },
        )?;
        Ok(generation)
    }

    fn switch(&self, disk: &mut Disk<'_>, activation: &Activation) -> Result<(), StoreError> {
        let (aside, current) = (self.root.join("current.new"), self.current());
        let (note, note_aside) = (self.note(), self.root.join("activation.new"));
        let target = Path::new("generations")
            .join(format!("{:06}", activation.number))
            .join("files");
        let mut switch = || {
            disk.remove_all(&note_aside)?;
            disk.write(&note_aside, &serde_json::to_vec_pretty(activation)?)?;
            disk.rename(&note_aside, &note)?;
            disk.remove_all(&aside)?;
            disk.link(&target, &aside)?;
            disk.rename(&aside, &current)?;
            disk.sync(&self.root)
        };
        switch().map_err(failed("switch", &current))
    }

    fn note(&self) -> PathBuf {
        self.root.join("activation.json")
    }

    /// How a generation became live, if that is known. The note is written before the switch, so
    /// it may be about one that never did.
    pub(crate) fn activation(&self, number: u64) -> Option<Activation> {
        let bytes = fs::read(self.note()).ok()?;
        let activation: Activation = serde_json::from_slice(&bytes).ok()?;
        (activation.number == number).then_some(activation)
    }

    pub(crate) fn lock(&self) -> Result<File, StoreError> {
        let path = self.root.join("lock");
        let mut options = File::options();
        let file = options.create(true).write(true).truncate(false).open(&path);
        let file = file.map_err(failed("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => Err(StoreError::Busy),
            Err(fs::TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
        }
    }
}
