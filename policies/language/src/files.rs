// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which files make up a policy, and how the parser gets at those that are included.

use thiserror::Error;

/// What a file in a policy directory is, by its name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Part of the policy.
    Policy,
    /// Not meant for us: hidden, or without the ending `.policy`.
    Ignored,
    /// Meant for us, but with a name that may not be: the whole policy is rejected.
    BadName,
}

impl FileKind {
    /// Decides by a base name (specification of qrexec, 2.1).
    pub fn of(name: &str) -> Self {
        let allowed =
            |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase() || matches!(b, b'_' | b'.' | b'-');
        if name.starts_with('.') || !name.ends_with(".policy") {
            Self::Ignored
        } else if name.bytes().all(allowed) {
            Self::Policy
        } else {
            Self::BadName
        }
    }
}

/// What a file in the directory of older files is about: its service, and its argument with the
/// `+` if it has one. `None` for a file that is not meant for us (specification of qrexec, 2.2).
pub fn old_file(name: &str) -> Option<(&str, Option<&str>)> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'+');
    let left_over = [".rpmsave", ".rpmnew", ".swp"];
    // A dot hides a file; before a plus there would be no service.
    if name.starts_with(['.', '+'])
        || left_over.iter().any(|ending| name.ends_with(ending))
        || !name.bytes().all(legal)
    {
        return None;
    }
    Some(match name.find('+') {
        Some(plus) => (&name[..plus], Some(&name[plus..])),
        None => (name, None),
    })
}

/// A file of a policy directory, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// The directory it came from; relative includes start here.
    pub directory: String,
    /// Its base name, such as `30-user.policy`.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// An included file or directory that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// There is none.
    #[error("no such file or directory")]
    Missing,
    /// It is there, but not as it has to be.
    #[error("{0}")]
    Other(String),
}

/// Hands out what the directives of a policy name. The crate itself opens no file.
pub trait Includes {
    /// The content of a file.
    fn read(&self, path: &str) -> Result<String, Unreadable>;

    /// The base names in a directory, in any order.
    fn list(&self, directory: &str) -> Result<Vec<String>, Unreadable>;

    /// The directory of older files that `!compat-4.0` brings in, if there can be one.
    fn old_directory(&self) -> Option<String> {
        None
    }
}

/// For policies that stand alone: nothing can be included.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoIncludes;

impl Includes for NoIncludes {
    fn read(&self, _: &str) -> Result<String, Unreadable> {
        Err(Unreadable::Missing)
    }

    fn list(&self, _: &str) -> Result<Vec<String>, Unreadable> {
        Err(Unreadable::Missing)
    }
}

/// The path that a directive in a file of `directory` means.
pub(crate) fn join(directory: &str, path: &str) -> String {
    if path.starts_with('/') || directory.is_empty() {
        path.to_owned()
    } else {
        format!("{}/{path}", directory.trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_counts_by_its_name() {
        assert_eq!(FileKind::of("30-user.policy"), FileKind::Policy);
        assert_eq!(FileKind::of(".30-user.policy"), FileKind::Ignored);
        assert_eq!(FileKind::of("30-user.policy.rpmsave"), FileKind::Ignored);
        assert_eq!(FileKind::of("README"), FileKind::Ignored);
        assert_eq!(FileKind::of("30-User.policy"), FileKind::BadName);
        assert_eq!(FileKind::of("my rules.policy"), FileKind::BadName);
    }

    #[test]
    fn an_older_file_is_named_after_its_service() {
        assert_eq!(old_file("a.B"), Some(("a.B", None)));
        assert_eq!(old_file("a.B+c+d"), Some(("a.B", Some("+c+d"))));
        assert_eq!(old_file("a.B+"), Some(("a.B", Some("+"))));
        for ignored in [
            ".a.B",
            "a.B.rpmsave",
            "a.B.rpmnew",
            "a.B.swp",
            "a B",
            "a.B~",
            "+",
            "+a.B",
            "++",
        ] {
            assert_eq!(old_file(ignored), None, "{ignored}");
        }
    }
}
