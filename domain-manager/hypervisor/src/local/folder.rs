// SPDX-License-Identifier: GPL-3.0-or-later
//! The folder of all local guests, and the numbers they get.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;

use bulkhead_types::{DomId, DomainName, Layout};
use nix::fcntl::{Flock, FlockArg};

use crate::local_guest::GuestFolder;

/// Remembers the number given last. No guest's name starts with a dot.
const LAST_DOMID: &str = ".last-domid";

/// The `/usr` of all local guests.
pub(super) fn shared_usr(layout: &Layout) -> PathBuf {
    of_all(layout).join(".usr")
}

/// The folder that holds those of the guests.
pub(super) fn of_all(layout: &Layout) -> PathBuf {
    layout.runtime().join("guests")
}

/// The folders of guests, dead or alive.
pub(super) fn guests(layout: &Layout) -> io::Result<Vec<GuestFolder>> {
    let mut guests = Vec::new();
    for entry in fs::read_dir(of_all(layout))? {
        let name = entry?.file_name();
        if let Some(name) = name.to_str().and_then(|name| DomainName::parse(name).ok()) {
            guests.push(GuestFolder::new(layout.local_guest_dir(&name)));
        }
    }
    Ok(guests)
}

/// The next number, which nobody gets again before the machine boots anew.
///
/// After the highest it starts over, as Xen does, without those in use.
pub(super) fn next_domid(layout: &Layout) -> io::Result<DomId> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(of_all(layout).join(LAST_DOMID))?;
    let mut file = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let in_use: Vec<_> = guests(layout)?
        .iter()
        .filter_map(|guest| Some(guest.record()?.domid))
        .collect();
    let mut last: u32 = text.trim_end().parse().unwrap_or(0);
    loop {
        last = if last >= DomId::MAX { 1 } else { last + 1 };
        let next = DomId::new(last).map_err(io::Error::other)?;
        if !in_use.contains(&next) {
            file.rewind()?;
            // Numbers only grow longer, until they start over.
            file.set_len(0)?;
            writeln!(file, "{next}")?;
            return Ok(next);
        }
    }
}
