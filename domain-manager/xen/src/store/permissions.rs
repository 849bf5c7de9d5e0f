// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may do what with a node.

use bulkhead_types::DomId;

/// What a domain may do with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    None,
    /// Read it.
    Read,
    /// Write it.
    Write,
    /// Both.
    Both,
}

impl Access {
    /// Whether this is enough for `need`.
    pub(super) fn allows(self, need: Self) -> bool {
        self == need || self == Self::Both || need == Self::None
    }

    fn letter(self) -> char {
        match self {
            Self::None => 'n',
            Self::Read => 'r',
            Self::Write => 'w',
            Self::Both => 'b',
        }
    }
}

/// One domain's permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The domain.
    pub domain: DomId,
    /// What it may do.
    pub access: Access,
}

/// All permissions of a node: its owner, who may do everything; what domains may do that
/// are not named; and those that are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// The owner.
    pub owner: DomId,
    /// What everybody else may do.
    pub others: Access,
    /// Exceptions from that.
    pub named: Vec<Permission>,
}

impl Permissions {
    /// A node that nobody but its owner (and dom0) sees.
    pub fn private(owner: DomId) -> Self {
        Self {
            owner,
            others: Access::None,
            named: Vec::new(),
        }
    }

    /// The same, where `reader` may read too.
    pub fn readable_by(mut self, reader: DomId) -> Self {
        self.named.push(Permission {
            domain: reader,
            access: Access::Read,
        });
        self
    }

    /// What `domain` may do.
    pub(super) fn of(&self, domain: DomId) -> Access {
        if domain == DomId::DOM0 || domain == self.owner {
            return Access::Both;
        }
        let named = self
            .named
            .iter()
            .find(|permission| permission.domain == domain);
        named.map_or(self.others, |permission| permission.access)
    }

    /// The form on the wire: a letter and a number each, ended by NUL, the owner first.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut text = format!("{}{}\0", self.others.letter(), self.owner);
        for permission in &self.named {
            text += &format!("{}{}\0", permission.access.letter(), permission.domain);
        }
        text.into_bytes()
    }

    /// Reads the form on the wire; the last NUL may be missing.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut entries = text
            .strip_suffix('\0')
            .unwrap_or(text)
            .split('\0')
            .map(|entry| {
                let mut letters = entry.chars();
                let access = match letters.next()? {
                    'n' => Access::None,
                    'r' => Access::Read,
                    'w' => Access::Write,
                    'b' => Access::Both,
                    _ => return None,
                };
                Some(Permission {
                    domain: letters.as_str().parse().ok()?,
                    access,
                })
            });
        let first = entries.next()??;
        Some(Self {
            owner: first.domain,
            others: first.access,
            named: entries.collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_keep_their_form_on_the_wire() {
        let three = DomId::new(3).unwrap();
        let given = Permissions::private(DomId::DOM0).readable_by(three);
        assert_eq!(given.encode(), b"n0\0r3\0");
        assert_eq!(Permissions::decode(b"n0\0r3\0").unwrap(), given);
        assert_eq!(Permissions::decode(b"n0\0r3").unwrap(), given);
        for bad in [
            b"".as_slice(),
            b"\0",
            b"x0\0",
            b"n\0",
            b"n0\0\0",
            b"n99999\0",
            b"n0\0r-1\0",
        ] {
            assert_eq!(Permissions::decode(bad), None, "{bad:?}");
        }
        assert!(given.of(three).allows(Access::Read) && !given.of(three).allows(Access::Write));
        assert_eq!(given.of(DomId::new(4).unwrap()), Access::None);
    }
}
