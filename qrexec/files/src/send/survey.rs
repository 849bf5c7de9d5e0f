// SPDX-License-Identifier: GPL-3.0-or-later
//! What a copy will send, looked at before anybody is asked for permission.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::pack::{Links, SendError};
use crate::wire::{BadName, EntryName, Kind, NameRule, check_link};

/// What will be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Bytes of content.
    pub bytes: u64,
    /// Whether a receiver takes it only with [`NameRule::All`].
    pub needs_all_names: bool,
    /// What lies in the folders and is neither file nor folder nor link: it is not sent.
    pub left_out: Vec<PathBuf>,
}

impl Survey {
    /// Looks at all of `paths`. Fails where a receiver is certain to refuse something, or nothing could be read.
    pub fn of(paths: &[PathBuf], links: Links) -> Result<Self, SendError> {
        let mut survey = Self::default();
        for path in paths {
            let name = path.file_name();
            let name = name.ok_or_else(|| SendError::Nameless(path.clone()))?;
            survey.entry(path, Path::new(name), links)?;
        }
        Ok(survey)
    }

    fn entry(&mut self, path: &Path, name: &Path, links: Links) -> Result<(), SendError> {
        let unreadable = |source| SendError::Read {
            path: path.to_owned(),
            source,
        };
        let metadata = fs::symlink_metadata(path).map_err(unreadable)?;
        let inside = name.components().nth(1).is_some();
        let kind = match Kind::of_mode(metadata.mode()) {
            Some(Kind::Link) if links == Links::LeftOut => return Ok(()),
            Some(kind) => kind,
            None if inside => {
                self.left_out.push(path.to_owned());
                return Ok(());
            }
            None => return Err(SendError::Kind(path.to_owned())),
        };
        let entry = self.name(path, name)?;
        match kind {
            Kind::File => self.bytes += metadata.len(),
            Kind::Link => {
                let target = fs::read_link(path).map_err(unreadable)?;
                let target = target.as_os_str().as_bytes();
                check_link(&entry, target, NameRule::All).map_err(|source| SendError::Link {
                    path: path.to_owned(),
                    source,
                })?;
                self.needs_all_names |= check_link(&entry, target, NameRule::Plain).is_err();
                self.bytes += metadata.len();
            }
            Kind::Folder => {
                for inner in fs::read_dir(path).map_err(unreadable)? {
                    let inner = inner.map_err(unreadable)?;
                    self.entry(&inner.path(), &name.join(inner.file_name()), links)?;
                }
            }
        }
        Ok(())
    }

    fn name(&mut self, path: &Path, name: &Path) -> Result<EntryName, SendError> {
        let bytes = name.as_os_str().as_bytes();
        let plain = EntryName::parse(bytes, NameRule::Plain);
        self.needs_all_names |= matches!(plain, Err(BadName::Characters));
        EntryName::parse(bytes, NameRule::All).map_err(|source| SendError::Name {
            path: path.to_owned(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;

    use super::*;

    fn survey(root: &Path, links: Links) -> Result<Survey, SendError> {
        Survey::of(&[root.join("top")], links)
    }

    #[test]
    fn everything_is_counted_and_what_cannot_be_sent_is_named() {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().join("top");
        fs::create_dir_all(top.join("sub")).unwrap();
        fs::write(top.join("a"), [0; 700]).unwrap();
        fs::write(top.join("sub/b"), [0; 300]).unwrap();
        symlink("../a", top.join("sub/link")).unwrap();
        nix::unistd::mkfifo(&top.join("pipe"), Mode::S_IRWXU).unwrap();
        let expected = Survey {
            bytes: 1004,
            needs_all_names: false,
            left_out: vec![top.join("pipe")],
        };
        assert_eq!(survey(root.path(), Links::Sent).unwrap(), expected);
        assert_eq!(survey(root.path(), Links::LeftOut).unwrap().bytes, 1000);
        let named = Survey::of(&[top.join("pipe")], Links::Sent);
        assert!(matches!(named, Err(SendError::Kind(_))));
        let nameless = Survey::of(&["/".into()], Links::Sent);
        assert!(matches!(nameless, Err(SendError::Nameless(_))));
    }

    #[test]
    fn names_and_links_that_hide_something_need_a_receiver_that_takes_all() {
        for (name, target) in [("a\nb", "a"), ("link", "a\u{202e}")] {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join("top")).unwrap();
            symlink(target, root.path().join("top").join(name)).unwrap();
            assert!(survey(root.path(), Links::Sent).unwrap().needs_all_names);
            assert!(!survey(root.path(), Links::LeftOut).unwrap().needs_all_names);
        }
    }

    #[test]
    fn a_link_that_leads_out_is_found_before_anything_is_sent() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("top")).unwrap();
        symlink("../x", root.path().join("top/link")).unwrap();
        let found = survey(root.path(), Links::Sent);
        assert!(matches!(found, Err(SendError::Link { .. })));
        assert!(survey(root.path(), Links::LeftOut).is_ok());
    }
}
