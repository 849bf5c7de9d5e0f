// SPDX-License-Identifier: GPL-3.0-or-later
//! What a template was made from and what came out, by SHA-256.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The content of `manifest.json`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// The form of this document.
    pub version: u32,
    /// The template's name.
    pub name: String,
    /// Version of the kernel in the image.
    pub kernel: String,
    /// Digests of what went in: `tree` (the Debian packages, unpacked), `recipe`, `additions`
    /// (our files and programs).
    pub inputs: BTreeMap<String, String>,
    /// Digests of what came out, by file name.
    pub outputs: BTreeMap<String, String>,
    /// Debian packages and their versions.
    pub packages: BTreeMap<String, String>,
}

/// The form of [`Manifest`] that this builder writes.
pub const VERSION: u32 = 1;

/// Packages and versions of a dpkg status file.
pub fn packages(status: &str) -> BTreeMap<String, String> {
    let field = |stanza: &str, name: &str| {
        let mut lines = stanza.lines();
        lines.find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
    };
    status
        .split("\n\n")
        .filter_map(|stanza| Some((field(stanza, "Package:")?, field(stanza, "Version:")?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_from_dpkgs_own_record() {
        let status = "\
Package: bash
Status: install ok installed
Version: 5.2.37-2

Package: xterm
Version: 398-1
";
        let packages = packages(status);
        assert_eq!(packages["bash"], "5.2.37-2");
        assert_eq!(packages["xterm"], "398-1");
    }
}
