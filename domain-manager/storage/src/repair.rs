// SPDX-License-Identifier: GPL-3.0-or-later
//! Putting a pool in order after its manager was killed.

use bulkhead_types::DomainName;

use crate::error::VolumeError;
use crate::names;
use crate::pool::Pool;
use crate::spec::{KnownDomain, Life, Repaired};

impl Pool {
    /// Makes the pool agree with what the manager knows, when it starts.
    ///
    /// Half-made and half-removed volumes go, and so do those of domains that are not in
    /// `known`; runs of domains that do not run are put away. Repeating it finds nothing.
    pub fn repair(&self, known: &[KnownDomain]) -> Result<Repaired, VolumeError> {
        let mut repaired = Repaired::default();
        for name in self.entries(&self.root)? {
            if names::is_leftover(&name) {
                self.delete(&self.root.join(&name))?;
                repaired.orphans.push(name);
            }
        }
        for domain in self.domains()? {
            if !known.iter().any(|known| known.name == domain) {
                self.remove(&domain)?;
                repaired.orphans.push(domain.into());
            }
        }
        for domain in known {
            if !domain.running {
                if self.is_started(&domain.name, &domain.volumes) {
                    repaired.stopped.push(domain.name.clone());
                }
                // Even without a run there may be a copy that was never finished.
                self.stop(&domain.name, &domain.volumes)?;
            }
            if self.misses_volumes(domain) {
                repaired.missing.push(domain.name.clone());
            }
        }
        repaired.orphans.sort();
        Ok(repaired)
    }

    fn misses_volumes(&self, domain: &KnownDomain) -> bool {
        let folder = self.folder(&domain.name);
        let mut kept = domain.volumes.iter().filter(|v| v.life == Life::Kept);
        kept.any(|volume| {
            let file = self.driver.file_name(volume.name);
            // A working copy alone is enough: its commit can be finished.
            [file.clone(), names::run(&file)]
                .iter()
                .all(|name| folder.join(name).symlink_metadata().is_err())
        })
    }

    /// Whether the pool holds volumes of a domain.
    pub fn has(&self, domain: &DomainName) -> bool {
        self.folder(domain).is_dir()
    }
}
