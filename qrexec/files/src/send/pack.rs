// SPDX-License-Identifier: GPL-3.0-or-later
//! From files to the stream, and the receiver's answer.

use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use thiserror::Error;

use super::explain::explain;
use crate::wire::{Answer, BadAnswer, BadName, Encoder, Header, Kind, Outcome, Stamp, UnsafeLink};

/// Bytes sent at a time.
const PIECE: usize = 128 * 1024;

/// Why a copy did not arrive, as far as the sender can know.
#[derive(Debug, Error)]
pub enum SendError {
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that arrived could not be removed here.
    #[error("cannot remove {path}, which has arrived")]
    Remove {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A path without a name of its own, such as `/` or `..`.
    #[error("{0} has no name under which it could arrive")]
    Nameless(PathBuf),
    /// A name that the format cannot carry.
    #[error("cannot send {path}")]
    Name {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BadName,
    },
    /// A link that no receiver takes.
    #[error("cannot send {path}")]
    Link {
        /// The link.
        path: PathBuf,
        /// Why.
        source: UnsafeLink,
    },
    /// Neither file nor folder nor link, and asked for by name.
    #[error("{0} is neither a file nor a folder nor a link")]
    Kind(PathBuf),
    /// The file became shorter while it was sent.
    #[error("{0} became shorter while it was sent")]
    Shrunk(PathBuf),
    /// The receiver's side is gone and left no usable answer.
    #[error("the other domain gave no answer")]
    NoAnswer(#[source] BadAnswer),
    /// The receiver stopped, and said why.
    #[error("{0}")]
    Refused(String),
    /// The receiver read something else than what was sent.
    #[error("what arrived is not what was sent (the checksums differ); delete it and try again")]
    Damaged,
    /// The stream broke for another reason than its reader's end.
    #[error("cannot send")]
    Stream(#[source] io::Error),
}

/// What a complete copy sent, in the order of sending; folders before what they hold.
#[derive(Debug, Default)]
pub struct Sent {
    paths: Vec<(PathBuf, Kind)>,
}

/// Why packing stopped before the end.
enum Stop {
    Failed(SendError),
    /// Nobody reads any more: the answer says why.
    Unread,
}

impl From<SendError> for Stop {
    fn from(error: SendError) -> Self {
        Self::Failed(error)
    }
}

/// Sends `paths` over `output` and reads the answer from `input`.
///
/// Each path arrives under its last part. What is neither file nor folder nor link is left out of folders. `target` is the receiver's name for messages.
/// `output` is dropped before the answer is read, so that the receiver sees the end. `progress` hears how
/// many bytes of content each piece had, and `None` at the end.
pub fn send<W: Write, R: Read>(
    paths: &[PathBuf],
    target: &str,
    output: W,
    input: R,
    progress: impl FnMut(Option<u64>),
) -> Result<Sent, SendError> {
    send_with(paths, Links::Sent, target, output, input, progress)
}

/// What happens to symbolic links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// They are sent as they are.
    Sent,
    /// They are left out.
    LeftOut,
}

/// Does the same as [`send`], with the choice what happens to symbolic links.
pub fn send_with<W: Write, R: Read>(
    paths: &[PathBuf],
    links: Links,
    target: &str,
    output: W,
    input: R,
    mut progress: impl FnMut(Option<u64>),
) -> Result<Sent, SendError> {
    let mut packing = Packing {
        links,
        encoder: Encoder::new(),
        output: BufWriter::with_capacity(PIECE, output),
        buffer: vec![0; PIECE],
        progress: &mut progress,
        sent: Sent::default(),
    };
    let packed = packing.all(paths);
    let Packing {
        encoder,
        output,
        sent,
        ..
    } = packing;
    drop(output);
    progress(None);
    if let Err(Stop::Failed(error)) = packed {
        return Err(error);
    }
    let mut bytes = Vec::new();
    let most = Answer::LENGTH_MAX as u64;
    // What was read before an error may still be an answer.
    let _ = input.take(most).read_to_end(&mut bytes);
    let answer = Answer::decode(&bytes).map_err(SendError::NoAnswer)?;
    match answer.outcome {
        Outcome::Complete if packed.is_err() => Err(SendError::Damaged),
        Outcome::Complete if answer.checksum == u64::from(encoder.checksum()) => Ok(sent),
        Outcome::Complete => Err(SendError::Damaged),
        outcome => Err(SendError::Refused(explain(
            outcome,
            answer.last_name.as_deref(),
            target,
        ))),
    }
}

/// Removes what was sent and nothing else. Returns the folders that stay, because something was left out of them
/// or has come into them meanwhile.
pub fn remove(sent: &Sent) -> Result<Vec<PathBuf>, SendError> {
    let mut stay = Vec::new();
    for (path, kind) in sent.paths.iter().rev() {
        let removed = match kind {
            Kind::Folder => fs::remove_dir(path),
            Kind::File | Kind::Link => fs::remove_file(path),
        };
        match removed {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => stay.push(path.clone()),
            Err(source) => {
                return Err(SendError::Remove {
                    path: path.clone(),
                    source,
                });
            }
        }
    }
    Ok(stay)
}

struct Packing<'a, W: Write> {
    links: Links,
    encoder: Encoder,
    /// Small pieces go out together.
    output: BufWriter<W>,
    /// What was read of the file that is being sent.
    buffer: Vec<u8>,
    progress: &'a mut dyn FnMut(Option<u64>),
    sent: Sent,
}

impl<W: Write> Packing<'_, W> {
    fn all(&mut self, paths: &[PathBuf]) -> Result<(), Stop> {
        for path in paths {
            let name = path
                .file_name()
                .ok_or_else(|| SendError::Nameless(path.clone()))?;
            self.entry(path, Path::new(name))?;
        }
        let end = self.encoder.end();
        self.put(&end)?;
        self.output.flush().map_err(stopped)
    }

    fn entry(&mut self, path: &Path, name: &Path) -> Result<(), Stop> {
        let unreadable = |source| SendError::Read {
            path: path.to_owned(),
            source,
        };
        let metadata = fs::symlink_metadata(path).map_err(unreadable)?;
        match Kind::of_mode(metadata.mode()) {
            Some(Kind::File) => self.file(path, name)?,
            Some(Kind::Link) if self.links == Links::LeftOut => {}
            Some(Kind::Link) => {
                let target = fs::read_link(path).map_err(unreadable)?;
                let target = target.as_os_str().as_bytes();
                self.header(path, name, &metadata, target.len() as u64)?;
                let target = self.encoder.content(target).to_vec();
                self.put(&target)?;
                self.sent.paths.push((path.to_owned(), Kind::Link));
            }
            Some(Kind::Folder) => {
                self.header(path, name, &metadata, 0)?;
                self.sent.paths.push((path.to_owned(), Kind::Folder));
                let mut held = fs::read_dir(path)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                    .map_err(unreadable)?;
                held.sort_by_key(fs::DirEntry::file_name);
                for inner in held {
                    self.entry(&inner.path(), &name.join(inner.file_name()))?;
                }
                self.header(path, name, &metadata, 0)?;
            }
            // Sockets and pipes lie in many a folder; those who use them are not at the other side.
            None if name.components().nth(1).is_some() => {}
            None => return Err(SendError::Kind(path.to_owned()).into()),
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: &Path) -> Result<(), Stop> {
        let unreadable = |source| SendError::Read {
            path: path.to_owned(),
            source,
        };
        // The path may have become something else since it was looked at; opening a pipe
        // must not wait for a writer.
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let mut file = File::options()
            .read(true)
            .custom_flags(flags.bits())
            .open(path)
            .map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if Kind::of_mode(metadata.mode()) != Some(Kind::File) {
            return Err(SendError::Kind(path.to_owned()).into());
        }
        self.header(path, name, &metadata, metadata.len())?;
        let mut left = metadata.len();
        while left > 0 {
            let most = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            let length = match file.read(&mut self.buffer[..most]) {
                Ok(0) => return Err(SendError::Shrunk(path.to_owned()).into()),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(error).into()),
            };
            let piece = self.encoder.content(&self.buffer[..length]);
            self.output.write_all(piece).map_err(stopped)?;
            (self.progress)(Some(length as u64));
            left -= length as u64;
        }
        self.sent.paths.push((path.to_owned(), Kind::File));
        Ok(())
    }

    fn header(&mut self, path: &Path, name: &Path, of: &Metadata, length: u64) -> Result<(), Stop> {
        // Times before 1970 and after 2106 cannot be carried.
        let stamp = |seconds: i64, nanoseconds: i64| Stamp {
            seconds: u32::try_from(seconds).unwrap_or(0),
            nanoseconds: u32::try_from(nanoseconds).unwrap_or(0),
        };
        let header = Header {
            name_length: 0,
            mode: of.mode(),
            content_length: length,
            accessed: stamp(of.atime(), of.atime_nsec()),
            modified: stamp(of.mtime(), of.mtime_nsec()),
        };
        let name = name.as_os_str().as_bytes();
        let bytes = self
            .encoder
            .entry(header, name)
            .map_err(|source| SendError::Name {
                path: path.to_owned(),
                source,
            })?;
        self.put(&bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.output.write_all(bytes).map_err(stopped)
    }
}

fn stopped(error: io::Error) -> Stop {
    match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Stop::Unread,
        _ => Stop::Failed(SendError::Stream(error)),
    }
}
