// SPDX-License-Identifier: GPL-3.0-or-later
//! User, groups and capabilities, and the tie to the process that started this one.

use caps::CapSet;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Pid, Uid, geteuid, getppid, setgroups, setresgid, setresuid};

use crate::ConfineError;

/// The kernel's own number for a user and a group that own nothing.
const NOBODY: u32 = 65534;

/// Becomes nobody, without capabilities and without a way to get any back. Returns false where
/// an ordinary user's process stays that user's.
pub(crate) fn give_up() -> Result<bool, ConfineError> {
    let root = geteuid().is_root() && has_other_users();
    if root {
        // Only with capabilities can it be made impossible to get others by running a program.
        caps::clear(None, CapSet::Bounding).map_err(ConfineError::Capabilities)?;
        become_nobody()?;
    }
    for set in [
        CapSet::Ambient,
        CapSet::Inheritable,
        CapSet::Effective,
        CapSet::Permitted,
    ] {
        caps::clear(None, set).map_err(ConfineError::Capabilities)?;
    }
    prctl::set_no_new_privs().map_err(ConfineError::refused("renounce new privileges"))?;
    // Nobody's other processes may neither trace this one nor read its memory.
    prctl::set_dumpable(false).map_err(ConfineError::refused("close its memory to others"))?;
    Ok(root)
}

/// Whether there are other users to become. In a namespace of its own the root may be an ordinary
/// user's process under another number, and all there is. When in doubt there are.
fn has_other_users() -> bool {
    let Ok(map) = std::fs::read_to_string("/proc/self/uid_map") else {
        return true;
    };
    let spans = map.lines().filter_map(|line| {
        let mut words = line.split_whitespace().map(str::parse::<u64>);
        Some((words.next()?.ok()?, words.nth(1)?.ok()?))
    });
    let nobody = u64::from(NOBODY);
    spans
        .into_iter()
        .any(|(first, count)| (first..first + count).contains(&nobody))
}

fn become_nobody() -> Result<(), ConfineError> {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    setgroups(&[]).map_err(ConfineError::refused("leave all groups"))?;
    setresgid(group, group, group).map_err(ConfineError::refused("change the group"))?;
    setresuid(user, user, user).map_err(ConfineError::refused("change the user"))
}

/// Ends with the process that started this one. After the change of user, which undoes it.
pub(crate) fn end_with(parent: Pid) -> Result<(), ConfineError> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(ConfineError::refused(
        "end with the process that started this one",
    ))?;
    // It may have ended before the kernel was told.
    if getppid() == parent {
        Ok(())
    } else {
        Err(ConfineError::Orphan)
    }
}
