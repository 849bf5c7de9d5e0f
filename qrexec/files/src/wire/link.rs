// SPDX-License-Identifier: GPL-3.0-or-later
//! Which symbolic links a copy may carry.

use thiserror::Error;

use super::name::{EntryName, NameRule};

/// A link that could lead out of what was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnsafeLink {
    /// The link lies directly in the incoming folder, where nothing may point elsewhere.
    #[error("a link directly in the incoming folder is not accepted")]
    TopLevel,
    /// The target is absolute, empty, or climbs above the copied folder.
    #[error("the link leads out of the copied folder")]
    Escapes,
    /// The target holds characters that the rule for names refuses, or a NUL.
    #[error("the link's target holds characters that could hide what it is")]
    Characters,
}

/// Checks the target of the link called `name`.
///
/// The link lies at least two parts deep and its target is relative, with no more leading
/// `..` than keep it inside the top folder of the copy. A `..` further on is not accepted:
/// what it leads to depends on other links.
pub fn check_link(name: &EntryName, target: &[u8], rule: NameRule) -> Result<(), UnsafeLink> {
    let room = name.depth().checked_sub(2).ok_or(UnsafeLink::TopLevel)?;
    if target.starts_with(b"/") {
        return Err(UnsafeLink::Escapes);
    }
    let parts: Vec<&[u8]> = target
        .split(|b| *b == b'/')
        .filter(|part| !matches!(*part, b"" | b"."))
        .collect();
    let climbs = parts.iter().take_while(|part| **part == b"..").count();
    let rest = &parts[climbs..];
    if target.is_empty() || climbs > room || rest.contains(&b"..".as_slice()) {
        return Err(UnsafeLink::Escapes);
    }
    match EntryName::parse(&rest.join(&b'/'), rule) {
        Err(_) if !rest.is_empty() => Err(UnsafeLink::Characters),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, target: &str) -> Result<(), UnsafeLink> {
        let name = EntryName::parse(name.as_bytes(), NameRule::Plain).unwrap();
        check_link(&name, target.as_bytes(), NameRule::Plain)
    }

    #[test]
    fn a_link_stays_inside_the_folder_that_was_copied() {
        assert_eq!(check("link", "file"), Err(UnsafeLink::TopLevel));
        assert_eq!(check("top/link", "file"), Ok(()));
        assert_eq!(check("top/link", "../file"), Err(UnsafeLink::Escapes));
        assert_eq!(check("top/sub/link", "../file"), Ok(()));
        assert_eq!(check("top/sub/link", ".."), Ok(()));
        assert_eq!(
            check("top/sub/link", "../../file"),
            Err(UnsafeLink::Escapes)
        );
        assert_eq!(check("top/link", "/etc/passwd"), Err(UnsafeLink::Escapes));
        assert_eq!(
            check("top/sub/link", "a/../../.."),
            Err(UnsafeLink::Escapes)
        );
        assert_eq!(check("top/link", ""), Err(UnsafeLink::Escapes));
        assert_eq!(check("top/link", ".//a/./b"), Ok(()));
        assert_eq!(check("top/link", "."), Ok(()));
        assert_eq!(check("top/link", "a\u{202e}"), Err(UnsafeLink::Characters));
        assert_eq!(check("top/link", "a\0b"), Err(UnsafeLink::Characters));
    }
}
