// SPDX-License-Identifier: GPL-3.0-or-later
//! The names of files and folders in a pool; the crate's documentation lists them.

use bulkhead_types::DomainName;

/// Says whose pool it is.
pub(crate) const OWNER_FILE: &str = "bulkhead-pool";
/// The pair of files that show whether blocks can be shared.
pub(crate) const PROBES: [&str; 2] = [".probe-from", ".probe-to"];

const NEW_DOMAIN: &str = ".new-";
const GONE_DOMAIN: &str = ".gone-";
const RUN: &str = ".run";
const NEW: &str = ".new";
const REVISION: &str = ".rev-";

/// The folder in which a domain's volumes are made.
pub(crate) fn new_domain(domain: &DomainName) -> String {
    format!("{NEW_DOMAIN}{domain}")
}

/// The folder in which a domain's volumes wait for their removal.
pub(crate) fn gone_domain(domain: &DomainName) -> String {
    format!("{GONE_DOMAIN}{domain}")
}

/// Whether a name in the pool is one that only an interrupted operation leaves.
pub(crate) fn is_leftover(name: &str) -> bool {
    name.starts_with(NEW_DOMAIN) || name.starts_with(GONE_DOMAIN) || PROBES.contains(&name)
}

/// A volume's working copy.
pub(crate) fn run(volume_file: &str) -> String {
    format!("{volume_file}{RUN}")
}

/// A copy that is being made.
pub(crate) fn new(volume_file: &str) -> String {
    format!("{volume_file}{NEW}")
}

/// A revision. The number is padded so that a listing shows them in order.
pub(crate) fn revision(volume_file: &str, number: u64) -> String {
    format!("{volume_file}{REVISION}{number:010}")
}

/// The number of a revision of a volume, if the name is one.
pub(crate) fn revision_number(volume_file: &str, name: &str) -> Option<u64> {
    let digits = name.strip_prefix(volume_file)?.strip_prefix(REVISION)?;
    digits.parse().ok()
}
