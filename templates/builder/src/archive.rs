// SPDX-License-Identifier: GPL-3.0-or-later
//! A writer of tar archives (POSIX ustar): our additions to a tree travel in one, because
//! `tar` can lay them over the tree inside a user name space, where we have no hands.

use std::io::{self, Write};

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file with its content.
    File(Vec<u8>),
    /// A symbolic link with what it says.
    Link(String),
}

/// One entry of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Number of the owning user and group.
    pub owner: u32,
}

/// Writes `entries` (path without a leading slash, entry) with the time `date` (seconds since
/// 1970) as an archive.
///
/// # Errors
/// A path of more than 255 bytes, or one that cannot be divided as the format wants it.
pub fn write<'a>(
    out: &mut impl Write,
    entries: impl IntoIterator<Item = (&'a str, &'a Entry)>,
    date: u32,
) -> io::Result<()> {
    for (path, entry) in entries {
        let content: &[u8] = match &entry.kind {
            Kind::File(content) => content,
            _ => &[],
        };
        out.write_all(&header(path, entry, content.len(), date)?)?;
        out.write_all(content)?;
        out.write_all(&vec![
            0;
            content.len().next_multiple_of(512) - content.len()
        ])?;
    }
    out.write_all(&[0; 1024])
}

fn header(path: &str, entry: &Entry, length: usize, date: u32) -> io::Result<[u8; 512]> {
    let (prefix, name) = divide(path)
        .ok_or_else(|| io::Error::other(format!("`{path}` is too long for an archive")))?;
    let (kind, link) = match &entry.kind {
        Kind::File(_) => (b'0', ""),
        Kind::Link(target) => (b'2', target.as_str()),
        Kind::Folder => (b'5', ""),
    };
    if link.len() > 100 {
        return Err(io::Error::other(format!("the link `{path}` says too much")));
    }
    let mut block = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, format!("{:07o}", entry.mode).as_bytes());
    put(108, format!("{:07o}", entry.owner).as_bytes());
    put(116, format!("{:07o}", entry.owner).as_bytes());
    put(124, format!("{length:011o}").as_bytes());
    put(136, format!("{date:011o}").as_bytes());
    // The sum is taken with spaces in its own place.
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    put(345, prefix.as_bytes());
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

/// Divides a path into a prefix of at most 155 bytes and a name of at most 100.
fn divide(path: &str) -> Option<(&str, &str)> {
    if path.len() <= 100 {
        return Some(("", path));
    }
    path.match_indices('/')
        .map(|(at, _)| (&path[..at], &path[at + 1..]))
        .find(|(prefix, name)| prefix.len() <= 155 && name.len() <= 100)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn entry(kind: Kind, mode: u32, owner: u32) -> Entry {
        Entry { kind, mode, owner }
    }

    #[test]
    fn tar_itself_reads_what_we_write() {
        let long = format!("{}/file", "folder/".repeat(20).trim_end_matches('/'));
        let entries = [
            ("etc", entry(Kind::Folder, 0o755, 0)),
            (
                "etc/motd",
                entry(Kind::File(b"hello\n".to_vec()), 0o644, 1000),
            ),
            ("etc/rc", entry(Kind::Link("init.d/rc".into()), 0o777, 0)),
            (&long, entry(Kind::File(vec![7; 513]), 0o4755, 0)),
        ];
        let mut archive = Vec::new();
        write(
            &mut archive,
            entries.iter().map(|(p, e)| (*p, e)),
            1_000_000_000,
        )
        .unwrap();
        let mut tar = Command::new("tar")
            .args(["--utc", "--numeric-owner", "-tvf", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        tar.stdin.take().unwrap().write_all(&archive).unwrap();
        let said = tar.wait_with_output().unwrap();
        assert!(said.status.success());
        insta::assert_snapshot!(String::from_utf8(said.stdout).unwrap(), @r"
        drwxr-xr-x 0/0               0 2001-09-09 01:46 etc
        -rw-r--r-- 1000/1000         6 2001-09-09 01:46 etc/motd
        lrwxrwxrwx 0/0               0 2001-09-09 01:46 etc/rc -> init.d/rc
        -rwsr-xr-x 0/0             513 2001-09-09 01:46 folder/folder/folder/folder/folder/folder/folder/folder/folder/folder/folder/folder/folder/folder/folder/folder/folder/folder/folder/folder/file
        ");
    }

    #[test]
    fn a_path_that_does_not_fit_is_an_error() {
        let path = "x".repeat(101);
        let entry = entry(Kind::Folder, 0o755, 0);
        let error = write(&mut Vec::new(), [(path.as_str(), &entry)], 0).unwrap_err();
        assert!(error.to_string().ends_with("is too long for an archive"));
    }
}
