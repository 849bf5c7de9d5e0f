// SPDX-License-Identifier: GPL-3.0-or-later
//! A policy of signed files alone.
//!
//! It is made of the bytes whose digests were compared with what was signed: nothing is read from
//! the disk a second time, and nothing that no signature covers is read at all, whichever way a
//! file names it: outside of the set, by `..`, through a link, or hidden.

use std::path::Path;

use bulkhead_policy::{Diagnostic, FileKind, Includes, Policy, PolicyFile, Rejected, Unreadable};
use policy_generations::Files;

/// Reads the policy of a generation whose files are signed for.
///
/// # Errors
///
/// As [`load_policy`](crate::load_policy); also when it includes what is not part of it.
pub(crate) fn load_signed(directory: &Path, files: &Files) -> Result<Policy, Rejected> {
    let base = directory.to_string_lossy().into_owned();
    let signed = Signed { files, base: &base };
    let mut policies = Vec::new();
    for name in files.keys().filter(|name| !name.contains('/')) {
        match FileKind::of(name) {
            FileKind::Ignored => {}
            FileKind::Policy => policies.push(PolicyFile {
                directory: base.clone(),
                name: name.clone(),
                text: signed
                    .read(&format!("{base}/{name}"))
                    .map_err(|why| rejected(name, &why.to_string()))?,
            }),
            FileKind::BadName => return Err(rejected(name, "it is badly named")),
        }
    }
    Policy::load(&policies, &signed)
}

fn rejected(name: &str, why: &str) -> Rejected {
    let message = format!("`{name}` of the live generation cannot be used: {why}");
    Rejected {
        diagnostics: vec![Diagnostic::global(message)],
        sources: Default::default(),
    }
}

/// The set, as what a policy may include.
struct Signed<'a> {
    files: &'a Files,
    base: &'a str,
}

impl Signed<'_> {
    /// A path as it stands in the set.
    fn inside<'p>(&self, path: &'p str) -> Result<&'p str, Unreadable> {
        let inside = path.strip_prefix(self.base);
        inside
            .and_then(|path| path.strip_prefix('/'))
            .ok_or_else(|| not_signed(path))
    }
}

fn not_signed(path: &str) -> Unreadable {
    let path = path.escape_debug();
    Unreadable::Other(format!("nobody has signed for `{path}`"))
}

impl Includes for Signed<'_> {
    fn read(&self, path: &str) -> Result<String, Unreadable> {
        let bytes = self.files.get(self.inside(path)?);
        let bytes = bytes.ok_or_else(|| not_signed(path))?;
        String::from_utf8(bytes.clone()).map_err(|_| Unreadable::Other("not UTF-8".to_owned()))
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, Unreadable> {
        let inside = self.inside(directory)?;
        let prefix = format!("{}/", inside.trim_end_matches('/'));
        let names = self
            .files
            .keys()
            .filter_map(|path| path.strip_prefix(&prefix));
        let names: Vec<_> = names
            .filter(|name| !name.contains('/'))
            .map(str::to_owned)
            .collect();
        match names.is_empty() {
            true => Err(not_signed(directory)),
            false => Ok(names),
        }
    }

    fn old_directory(&self) -> Option<String> {
        // Older files lie elsewhere, where no signature covers them.
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(texts: &[(&str, &str)]) -> Result<Policy, String> {
        let files = texts
            .iter()
            .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
        // There is nothing of it on the disk.
        load_signed(Path::new("/no/such/directory"), &files.collect())
            .map_err(|rejected| rejected.to_string())
    }

    #[test]
    fn a_set_with_its_own_includes_is_read_from_memory() {
        let rule = "s * work vault allow\n";
        let policy = decided(&[
            (
                "30-user.policy",
                "!include include/x\n!include-dir include/more\n",
            ),
            ("include/x", rule),
            ("include/more/10.policy", rule),
            ("40-user.test", "no policy"),
        ]);
        assert_eq!(policy.unwrap().rules().len(), 2);
    }

    #[test]
    fn what_is_not_part_of_the_set_cannot_be_included() {
        for path in [
            "/etc/hostname",
            "../other",
            "include/../../other",
            "include/.hidden",
            "include/x/../y",
        ] {
            let text = format!("!include {path}\n");
            let files = [("30-user.policy", text.as_str()), ("include/x", "")];
            let error = decided(&files).unwrap_err();
            assert!(error.contains("nobody has signed for"), "{path}: {error}");
        }
        let error = decided(&[("30-user.policy", "!include-dir /etc\n")]).unwrap_err();
        assert!(error.contains("nobody has signed for `/etc`"), "{error}");
        let error = decided(&[("30-user.policy", "!compat-4.0\n")]).unwrap_err();
        assert!(
            error.contains("files that are not part of this policy"),
            "{error}"
        );
    }
}
