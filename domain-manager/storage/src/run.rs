// SPDX-License-Identifier: GPL-3.0-or-later
//! Volumes during a run of their domain: working copies, commit, revisions.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use bulkhead_types::{DomainName, VolumeName};

use crate::driver::MakeError;
use crate::error::VolumeError;
use crate::names;
use crate::pool::{Pool, failed, not_made};
use crate::spec::{Life, StartedVolume, VolumeSpec};

impl Pool {
    /// Makes the working copies for a run, all or none, in the order of `volumes`.
    ///
    /// What an earlier run left is put away first, as [`Self::stop`] would have done.
    pub fn start(
        &self,
        domain: &DomainName,
        volumes: &[VolumeSpec],
    ) -> Result<Vec<StartedVolume>, VolumeError> {
        self.stop(domain, volumes)?;
        let folder = self.folder(domain);
        let new_folder = match fs::create_dir(&folder) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(failed(&folder)(error)),
        };
        let mut started = Vec::new();
        for volume in volumes {
            match self.start_volume(domain, volume) {
                Ok(path) => started.push(StartedVolume {
                    name: volume.name,
                    path,
                }),
                Err(error) => {
                    // The first error is the one to tell; the next start or repair tries again.
                    let _ = self.abandon(domain, volumes);
                    if new_folder {
                        let _ = fs::remove_dir(&folder);
                    }
                    return Err(error);
                }
            }
        }
        Ok(started)
    }

    fn start_volume(
        &self,
        domain: &DomainName,
        volume: &VolumeSpec,
    ) -> Result<PathBuf, VolumeError> {
        let file = self.driver.file_name(volume.name);
        let folder = self.folder(domain);
        let (new, run) = (
            folder.join(names::new(&file)),
            folder.join(names::run(&file)),
        );
        let copy_of = |source: &DomainName| {
            let _no_commit = self.commit.read().unwrap_or_else(PoisonError::into_inner);
            self.driver.copy(&self.folder(source).join(&file), &new)
        };
        let made = match &volume.life {
            Life::Kept => copy_of(domain).map_err(MakeError::Io),
            Life::CopyOf(source) => copy_of(source).map_err(MakeError::Io),
            Life::Scratch => self.driver.make_empty(volume.name, volume.size, &new),
        };
        made.map_err(|error| self.not_started(error, domain, volume, &new))?;
        self.step("working copy made");
        self.rename(&new, &run)?;
        self.step("working copy named");
        Ok(run)
    }

    fn not_started(
        &self,
        error: MakeError,
        domain: &DomainName,
        volume: &VolumeSpec,
        new: &Path,
    ) -> VolumeError {
        let absent = |owner: &DomainName| {
            let file = self.driver.file_name(volume.name);
            self.folder(owner).join(file).symlink_metadata().is_err()
        };
        match &volume.life {
            Life::Kept if absent(domain) => VolumeError::Missing {
                domain: domain.clone(),
                volume: volume.name,
            },
            Life::CopyOf(source) if absent(source) => VolumeError::NoSource {
                domain: domain.clone(),
                source_domain: source.clone(),
                volume: volume.name,
            },
            _ => not_made(error, domain, volume.name, new),
        }
    }

    /// Puts a run away: kept volumes are committed, other working copies removed.
    ///
    /// The domain must not run. Repeating it is harmless.
    pub fn stop(&self, domain: &DomainName, volumes: &[VolumeSpec]) -> Result<(), VolumeError> {
        let folder = self.folder(domain);
        for volume in volumes {
            let file = self.driver.file_name(volume.name);
            self.delete(&folder.join(names::new(&file)))?;
            let run = folder.join(names::run(&file));
            if run.symlink_metadata().is_err() {
                continue;
            }
            match volume.life {
                Life::Kept => self.commit(&folder, &file)?,
                Life::CopyOf(_) | Life::Scratch => self.delete(&run)?,
            }
            self.step("working copy put away");
        }
        Ok(())
    }

    /// Drops the working copies of a run that never began, without committing any.
    pub fn abandon(&self, domain: &DomainName, volumes: &[VolumeSpec]) -> Result<(), VolumeError> {
        let folder = self.folder(domain);
        for volume in volumes {
            let file = self.driver.file_name(volume.name);
            self.delete(&folder.join(names::new(&file)))?;
            let run = folder.join(names::run(&file));
            // Without a content of its own the working copy is all there is: a commit was cut
            // short, and `stop` will finish it.
            let only_copy =
                volume.life == Life::Kept && folder.join(&file).symlink_metadata().is_err();
            if !only_copy {
                self.delete(&run)?;
            }
        }
        Ok(())
    }

    /// Whether a run of the domain has not been put away.
    pub fn is_started(&self, domain: &DomainName, volumes: &[VolumeSpec]) -> bool {
        let folder = self.folder(domain);
        volumes.iter().any(|volume| {
            let run = names::run(&self.driver.file_name(volume.name));
            folder.join(run).symlink_metadata().is_ok()
        })
    }

    /// Makes the working copy the volume's content and the former content a revision.
    ///
    /// Killed between the two names, the volume has none; the next `stop` or `start` of the
    /// domain finds the working copy still there and finishes.
    fn commit(&self, folder: &Path, file: &str) -> Result<(), VolumeError> {
        let (content, run) = (folder.join(file), folder.join(names::run(file)));
        self.driver.settle(&run).map_err(failed(&run))?;
        let next = self
            .revision_numbers(folder, file)?
            .last()
            .map_or(1, |n| n + 1);
        {
            let _alone = self.commit.write().unwrap_or_else(PoisonError::into_inner);
            if content.symlink_metadata().is_ok() {
                self.rename(&content, &folder.join(names::revision(file, next)))?;
                self.step("former content made a revision");
            }
            self.rename(&run, &content)?;
        }
        self.settle_names(folder)?;
        self.step("working copy committed");
        self.trim(folder, file)
    }

    fn trim(&self, folder: &Path, file: &str) -> Result<(), VolumeError> {
        let revisions = self.revision_numbers(folder, file)?;
        let surplus = revisions
            .len()
            .saturating_sub(self.options.revisions_to_keep);
        for number in &revisions[..surplus] {
            self.delete(&folder.join(names::revision(file, *number)))?;
            self.step("old revision removed");
        }
        Ok(())
    }

    /// The revisions of a volume, oldest first.
    pub fn revisions(
        &self,
        domain: &DomainName,
        volume: VolumeName,
    ) -> Result<Vec<u64>, VolumeError> {
        self.revision_numbers(&self.folder(domain), &self.driver.file_name(volume))
    }

    fn revision_numbers(&self, folder: &Path, file: &str) -> Result<Vec<u64>, VolumeError> {
        let names = self.entries(folder)?;
        let mut numbers: Vec<_> = names
            .iter()
            .filter_map(|name| names::revision_number(file, name))
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}
