// SPDX-License-Identifier: MIT OR Apache-2.0
//! A domain's configuration as `xl` reads it, from values that cannot break out of it.

use std::fmt;

use bulkhead_types::{DomainName, DomainUuid};
use thiserror::Error;

/// How a domain is virtualised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Paravirtualised: needs no virtualisation by the processor. For trusted roles, and for
    /// emulated machines.
    Pv,
    /// Hardware-virtualised without an emulated machine.
    Pvh,
}

/// What becomes one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainConfig {
    /// Its name.
    pub name: DomainName,
    /// Its UUID; without one Xen makes one up.
    pub uuid: Option<DomainUuid>,
    /// How it is virtualised.
    pub kind: Kind,
    /// Its memory in MiB.
    pub memory_mib: u32,
    /// Its virtual processors.
    pub vcpus: u32,
    /// The kernel it boots.
    pub kernel: ConfigText,
    /// The kernel's initial ramdisk.
    pub ramdisk: Option<ConfigText>,
    /// The kernel's command line.
    pub command_line: ConfigText,
    /// Its disks, in the order of their appearance.
    pub disks: Vec<Disk>,
}

/// A disk of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// What is behind it in dom0.
    pub source: DiskSource,
    /// The name under which the domain sees it.
    pub device: DeviceName,
    /// Whether the domain may only read it.
    pub read_only: bool,
}

/// What is behind a disk. Both are raw images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskSource {
    /// A block device.
    Device(ConfigText),
    /// A file; our script `block-bulkhead` (in `/etc/xen/scripts`) puts a loop device in between
    /// and removes it at the end.
    File(ConfigText),
}

/// The name of a disk in a domain: `xvda` to `xvdz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceName(String);

/// A text that `xl`'s parser reads as one value and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigText(String);

/// A text that cannot be written into a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidConfigText {
    /// A character that ends a value, or starts another.
    #[error("`{text}` holds {character:?}, which a domain's configuration cannot carry")]
    Character {
        /// The text.
        text: String,
        /// The first such character.
        character: char,
    },
    /// A path that does not start at the root.
    #[error("`{0}` is not an absolute path")]
    Relative(String),
    /// Not the name of a disk.
    #[error("`{0}` is not a disk's name, `xvda` to `xvdz`")]
    Device(String),
}

impl ConfigText {
    /// Printable ASCII without quotes and backslash: a kernel's command line.
    pub fn text(text: &str) -> Result<Self, InvalidConfigText> {
        Self::without(text, &['"', '\'', '\\'])
    }

    /// An absolute path without the characters that mean something in a list of disks.
    pub fn path(path: &str) -> Result<Self, InvalidConfigText> {
        if !path.starts_with('/') {
            return Err(InvalidConfigText::Relative(path.to_owned()));
        }
        Self::without(path, &['"', '\'', '\\', ',', '[', ']', ' '])
    }

    fn without(text: &str, forbidden: &[char]) -> Result<Self, InvalidConfigText> {
        let bad = |c: &char| !(c.is_ascii_graphic() || *c == ' ') || forbidden.contains(c);
        match text.chars().find(bad) {
            Some(character) => Err(InvalidConfigText::Character {
                text: text.to_owned(),
                character,
            }),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl DeviceName {
    /// Checks a disk's name.
    pub fn parse(name: &str) -> Result<Self, InvalidConfigText> {
        match name.strip_prefix("xvd").map(str::as_bytes) {
            Some([b'a'..=b'z']) => Ok(Self(name.to_owned())),
            _ => Err(InvalidConfigText::Device(name.to_owned())),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Disk {
    /// One disk in `xl`'s disk syntax; `target=` comes last, as it takes the rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = if self.read_only { "ro" } else { "rw" };
        let (script, target) = match &self.source {
            DiskSource::Device(path) => ("", path),
            DiskSource::File(path) => ("script=block-bulkhead,", path),
        };
        write!(
            f,
            "format=raw,vdev={},access={access},{script}target={}",
            self.device.0, target.0
        )
    }
}

impl fmt::Display for DomainConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Pv => "pv",
            Kind::Pvh => "pvh",
        };
        writeln!(f, "name = \"{}\"", self.name)?;
        if let Some(uuid) = &self.uuid {
            writeln!(f, "uuid = \"{uuid}\"")?;
        }
        writeln!(f, "type = \"{kind}\"")?;
        writeln!(f, "memory = {}", self.memory_mib)?;
        writeln!(f, "vcpus = {}", self.vcpus)?;
        writeln!(f, "kernel = \"{}\"", self.kernel.0)?;
        if let Some(ramdisk) = &self.ramdisk {
            writeln!(f, "ramdisk = \"{}\"", ramdisk.0)?;
        }
        writeln!(f, "cmdline = \"{}\"", self.command_line.0)?;
        let disks: Vec<_> = self
            .disks
            .iter()
            .map(|disk| format!("\"{disk}\""))
            .collect();
        writeln!(f, "disk = [ {} ]", disks.join(", "))?;
        // Who starts a domain again, and when, is the domain manager's business.
        for event in ["poweroff", "reboot", "watchdog", "crash"] {
            writeln!(f, "on_{event} = \"destroy\"")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_ends_a_value_gets_into_one() {
        for bad in ["a\"b", "a'b", "a\\b", "a\nb", "a\tb", "ä", "\0"] {
            assert!(ConfigText::text(bad).is_err(), "{bad:?}");
        }
        for bad in ["relative", "", "/a,b", "/a[b", "/a]b", "/a b", "/a\"b"] {
            assert!(ConfigText::path(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "xvd", "xvdaa", "sda", "xvdA", "xvda,access=rw"] {
            assert!(DeviceName::parse(bad).is_err(), "{bad:?}");
        }
        let message = ConfigText::path("/pool/a,b").unwrap_err().to_string();
        assert_eq!(
            message,
            "`/pool/a,b` holds ',', which a domain's configuration cannot carry"
        );
    }
}
