// SPDX-License-Identifier: MIT OR Apache-2.0
//! The volumes a domain has.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One of a domain's volumes, by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VolumeName {
    /// The system: a template's own, or a fresh copy of the template's at each start.
    Root,
    /// What belongs to the domain and stays: home and local settings.
    Private,
    /// Scratch space and swap, empty at each start.
    Volatile,
}

/// A text that names no volume.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no volume `{0}`; volumes are root, private and volatile")]
pub struct InvalidVolumeName(String);

impl VolumeName {
    /// Every volume, in the order in which a guest sees the disks.
    pub const ALL: [Self; 3] = [Self::Root, Self::Private, Self::Volatile];

    /// The volume's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Private => "private",
            Self::Volatile => "volatile",
        }
    }

    /// The block device under which a guest finds it (specification of the manager, 2.1).
    pub fn guest_device(self) -> &'static str {
        match self {
            Self::Root => "xvda",
            Self::Private => "xvdb",
            Self::Volatile => "xvdc",
        }
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for VolumeName {
    type Err = InvalidVolumeName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|volume| volume.as_str() == text)
            .ok_or_else(|| InvalidVolumeName(text.to_owned()))
    }
}
