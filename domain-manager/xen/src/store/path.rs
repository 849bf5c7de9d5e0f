// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a path in xenstore may look like.

use bulkhead_types::DomId;

/// The longest absolute path (`XENSTORE_ABS_PATH_MAX`).
const ABSOLUTE_MAX: usize = 3072;
/// The longest relative path (`XENSTORE_REL_PATH_MAX`).
const RELATIVE_MAX: usize = 2048;

/// The home of a domain.
pub fn domain_path(domain: DomId) -> String {
    format!("/local/domain/{domain}")
}

/// Whether a path can name a node.
pub(super) fn is_valid(path: &str) -> bool {
    let limit = if path.starts_with('/') {
        ABSOLUTE_MAX
    } else {
        RELATIVE_MAX
    };
    let letters = |b: u8| b.is_ascii_alphanumeric() || b"-/_@".contains(&b);
    let whole = path == "/" || !(path.is_empty() || path.ends_with('/') || path.contains("//"));
    whole && path.len() <= limit && path.bytes().all(letters)
}

/// Whether a path names one of the store's own events rather than a node.
pub(super) fn is_special(path: &str) -> bool {
    path.starts_with('@')
}

/// The absolute form of a valid path as `domain` means it.
pub(super) fn resolve(domain: DomId, path: &str) -> String {
    if path.starts_with('/') || is_special(path) {
        path.to_owned()
    } else {
        format!("{}/{path}", domain_path(domain))
    }
}

/// The node above, or `None` for the root.
pub(super) fn parent(path: &str) -> Option<&str> {
    match path.rfind('/')? {
        0 if path.len() == 1 => None,
        0 => Some("/"),
        at => Some(&path[..at]),
    }
}

/// Whether `path` is `top` or below it.
pub(super) fn is_within(path: &str, top: &str) -> bool {
    let below = |rest: &str| rest.is_empty() || rest.starts_with('/');
    (top == "/" && path.starts_with('/')) || path.strip_prefix(top).is_some_and(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_paths_of_harmless_letters_are_paths() {
        for good in ["/", "/a/b-c_d@e", "data/vchan/0/512", "@releaseDomain"] {
            assert!(is_valid(good), "{good}");
        }
        let long = format!("/{}", "a".repeat(ABSOLUTE_MAX));
        for bad in [
            "", "/a/", "//", "/a//b", "/a b", "/a\0b", "/ä", "/a.b", &long,
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
    }

    #[test]
    fn paths_have_parents_and_homes() {
        assert_eq!(parent("/a/b"), Some("/a"));
        assert_eq!(parent("/a"), Some("/"));
        assert_eq!(parent("/"), None);
        let three = DomId::new(3).unwrap();
        assert_eq!(resolve(three, "name"), "/local/domain/3/name");
        assert_eq!(resolve(three, "/name"), "/name");
        assert!(is_within("/a/b", "/a") && is_within("/a", "/a") && is_within("/a", "/"));
        assert!(!is_within("/ab", "/a") && !is_within("@releaseDomain", "/"));
    }
}
