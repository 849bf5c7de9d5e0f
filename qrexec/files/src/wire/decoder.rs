// SPDX-License-Identifier: GPL-3.0-or-later
//! From a hostile sender's bytes to checked events.

use nix::errno::Errno;
use thiserror::Error;

use super::checksum::Checksum;
use super::header::{HEADER_LENGTH, Header, Kind, Stamp};
use super::link::{UnsafeLink, check_link};
use super::name::{BadName, EntryName, NAME_MAX, NameRule};

/// The longest target of a symbolic link, in bytes.
const TARGET_MAX: u64 = 16383;
const NANOSECONDS: u32 = 1_000_000_000;
/// Set-user-id, set-group-id and sticky bits do not cross between domains.
const PERMISSIONS: u32 = 0o777;

/// How much one copy may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of content in all entries together.
    pub bytes: u64,
    /// Headers, so a folder counts twice.
    pub entries: u64,
}

impl Default for Limits {
    /// 1 TiB and a million headers: more than anybody copies by hand.
    fn default() -> Self {
        Self {
            bytes: 1 << 40,
            entries: 1_000_000,
        }
    }
}

/// A checked header with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it goes, below the incoming folder.
    pub name: EntryName,
    /// Permissions, at most 0o777.
    pub permissions: u32,
    /// Bytes of content.
    pub length: u64,
    /// When it was read last.
    pub accessed: Stamp,
    /// When it was changed last.
    pub modified: Stamp,
}

/// What the sender said next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A folder, for the first or for the second time.
    Folder(Entry),
    /// A file; its content follows in pieces, then [`Event::FileEnds`].
    FileBegins(Entry),
    /// The next piece of a file's content, never empty.
    Content(&'a [u8]),
    /// All of the file's content was there.
    FileEnds,
    /// A symbolic link that stays inside the copied folder, and its target.
    Link(Entry, Vec<u8>),
    /// The end of the copy, with the checksum of all that was read.
    End(u32),
}

/// What makes a copy unacceptable. The decoder takes nothing after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Violation {
    /// The name of an entry cannot be accepted.
    #[error("{0}")]
    Name(#[from] BadName),
    /// The link could lead out of the copied folder.
    #[error("{0}")]
    Link(#[from] UnsafeLink),
    /// The name does not end in its NUL.
    #[error("a name does not end where its header says")]
    Unterminated,
    /// The type is none of file, folder and link.
    #[error("an entry is neither file nor folder nor link")]
    Type,
    /// A folder with content, a link with too long or no target, or a time with too many
    /// nanoseconds.
    #[error("a header contradicts itself")]
    Header,
    /// One of the [`Limits`] is passed.
    #[error("the copy is larger than this domain accepts")]
    Limit,
    /// Bytes came after the end, or after an earlier violation.
    #[error("data follows the end of the copy")]
    AfterEnd,
}

impl Violation {
    /// The error code that tells the sender.
    pub fn errno(self) -> Errno {
        match self {
            Self::Name(BadName::Characters) | Self::Link(UnsafeLink::Characters) => Errno::EILSEQ,
            Self::Name(BadName::TooLong(_)) => Errno::ENAMETOOLONG,
            Self::Link(_) => Errno::ENOLINK,
            Self::Limit => Errno::EDQUOT,
            _ => Errno::EINVAL,
        }
    }
}

#[derive(Debug)]
enum State {
    Header(Vec<u8>),
    Name(Header, Vec<u8>),
    File { left: u64 },
    Link(Entry, Vec<u8>),
    Ended,
}

/// Reads a copy piece by piece.
#[derive(Debug)]
pub struct Decoder {
    rule: NameRule,
    left: Limits,
    checksum: Checksum,
    state: State,
    last_name: Vec<u8>,
}

impl Decoder {
    /// A decoder at the start of a copy.
    pub fn new(rule: NameRule, limits: Limits) -> Self {
        Self {
            rule,
            left: limits,
            checksum: Checksum::default(),
            state: State::Header(Vec::new()),
            last_name: Vec::new(),
        }
    }

    /// Takes bytes off the front of `input` until something can be said about them.
    ///
    /// `None` means that all of `input` was taken and more is needed.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, Violation> {
        let outcome = self.advance(input);
        if outcome.is_err() {
            self.state = State::Ended;
        }
        outcome
    }

    /// Whether the input may stop here without cutting an entry in two.
    pub fn between_entries(&self) -> bool {
        matches!(&self.state, State::Header(bytes) if bytes.is_empty())
    }

    /// Whether the end of the copy was read, or a violation.
    pub fn ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// The name of the last entry as the sender wrote it, unchecked; for the answer.
    pub fn last_name(&self) -> &[u8] {
        &self.last_name
    }

    /// The checksum of all that was read so far.
    pub fn checksum(&self) -> u32 {
        self.checksum.value()
    }

    fn take<'a>(&mut self, input: &mut &'a [u8], most: u64) -> &'a [u8] {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let (taken, rest) = input.split_at(most.min(input.len()));
        *input = rest;
        self.checksum.update(taken);
        taken
    }

    fn advance<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, Violation> {
        loop {
            // A state that is not put back stays `Ended`: only after an error.
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Header(mut bytes) => {
                    let missing = HEADER_LENGTH - bytes.len();
                    bytes.extend_from_slice(self.take(input, missing as u64));
                    let Ok(whole) = <&[u8; HEADER_LENGTH]>::try_from(&bytes[..]) else {
                        self.state = State::Header(bytes);
                        return Ok(None);
                    };
                    let header = Header::decode(whole);
                    if header.name_length == 0 {
                        return Ok(Some(Event::End(self.checksum.value())));
                    }
                    self.state = State::Name(self.check_header(header)?, Vec::new());
                }
                State::Name(header, mut bytes) => {
                    let missing = u64::from(header.name_length) - bytes.len() as u64;
                    bytes.extend_from_slice(self.take(input, missing));
                    if (bytes.len() as u64) < u64::from(header.name_length) {
                        self.state = State::Name(header, bytes);
                        return Ok(None);
                    }
                    if let Some(event) = self.begin(header, bytes)? {
                        return Ok(Some(event));
                    }
                }
                State::File { left: 0 } => {
                    self.state = State::Header(Vec::new());
                    return Ok(Some(Event::FileEnds));
                }
                State::File { left } => {
                    let piece = self.take(input, left);
                    self.state = State::File {
                        left: left - piece.len() as u64,
                    };
                    return Ok((!piece.is_empty()).then_some(Event::Content(piece)));
                }
                State::Link(entry, mut target) => {
                    let missing = entry.length - target.len() as u64;
                    target.extend_from_slice(self.take(input, missing));
                    if (target.len() as u64) < entry.length {
                        self.state = State::Link(entry, target);
                        return Ok(None);
                    }
                    check_link(&entry.name, &target, self.rule)?;
                    self.state = State::Header(Vec::new());
                    return Ok(Some(Event::Link(entry, target)));
                }
                State::Ended if input.is_empty() => return Ok(None),
                State::Ended => return Err(Violation::AfterEnd),
            }
        }
    }

    fn check_header(&mut self, header: Header) -> Result<Header, Violation> {
        let name_length = header.name_length as usize;
        if name_length > NAME_MAX + 1 {
            return Err(BadName::TooLong(name_length - 1).into());
        }
        let stamps = [header.accessed, header.modified];
        let possible = match Kind::of_mode(header.mode).ok_or(Violation::Type)? {
            Kind::File => true,
            Kind::Folder => header.content_length == 0,
            Kind::Link => (1..=TARGET_MAX).contains(&header.content_length),
        };
        if !possible || stamps.iter().any(|stamp| stamp.nanoseconds >= NANOSECONDS) {
            return Err(Violation::Header);
        }
        let bytes = self.left.bytes.checked_sub(header.content_length);
        let entries = self.left.entries.checked_sub(1);
        self.left = match (bytes, entries) {
            (Some(bytes), Some(entries)) => Limits { bytes, entries },
            _ => return Err(Violation::Limit),
        };
        Ok(header)
    }

    fn begin<'a>(
        &mut self,
        header: Header,
        mut name: Vec<u8>,
    ) -> Result<Option<Event<'a>>, Violation> {
        let terminated = name.pop() == Some(0);
        self.last_name.clone_from(&name);
        if !terminated {
            return Err(Violation::Unterminated);
        }
        let entry = Entry {
            name: EntryName::parse(&name, self.rule)?,
            permissions: header.mode & PERMISSIONS,
            length: header.content_length,
            accessed: header.accessed,
            modified: header.modified,
        };
        Ok(match Kind::of_mode(header.mode).ok_or(Violation::Type)? {
            Kind::Folder => {
                self.state = State::Header(Vec::new());
                Some(Event::Folder(entry))
            }
            Kind::File => {
                self.state = State::File { left: entry.length };
                Some(Event::FileBegins(entry))
            }
            Kind::Link => {
                self.state = State::Link(entry, Vec::new());
                None
            }
        })
    }
}
