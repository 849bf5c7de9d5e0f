// SPDX-License-Identifier: GPL-3.0-or-later
//! From the stream to the folder.

use std::io::{ErrorKind, Read};

use nix::errno::Errno;
use thiserror::Error;

use super::folder::{Incoming, Unnamed};
use crate::wire::{Answer, Decoder, EntryName, Event, Limits, NameRule, Outcome, Violation};

/// The most bytes of names of folders whose second header has not come: enough for any tree, and a bound for
/// what a sender can make us remember.
const OPEN_NAMES_MAX: usize = 16 << 20;
/// Bytes read at a time.
const PIECE: usize = 128 * 1024;

/// Why a copy was not received to its end.
#[derive(Debug, Error)]
pub enum ReceiveError {
    /// The sender broke a rule.
    #[error("the sender was stopped: {0}")]
    Violation(#[from] Violation),
    /// Something could not be put into the folder.
    #[error("cannot write what was sent")]
    Write(#[source] Errno),
    /// The stream could not be read.
    #[error("cannot read what is sent")]
    Read(#[source] std::io::Error),
    /// The stream ended in the middle of an entry.
    #[error("the copy was cut off")]
    CutOff,
    /// The stream ended between entries, without the closing header.
    #[error("the sender ended early")]
    EndedEarly,
}

impl ReceiveError {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Violation(violation) => Outcome::Failed(violation.errno()),
            Self::Write(errno) => Outcome::Failed(*errno),
            Self::Read(_) | Self::CutOff => Outcome::Failed(Errno::EREMOTEIO),
            Self::EndedEarly => Outcome::EndedEarly,
        }
    }
}

/// Receives a copy into `folder` and gives the answer for the sender with the result.
///
/// Entries that were complete before an error stay; of others there is no trace.
pub fn receive(
    mut input: impl Read,
    folder: &Incoming,
    rule: NameRule,
    limits: Limits,
) -> (Answer, Result<(), ReceiveError>) {
    let mut decoder = Decoder::new(rule, limits);
    let result = unpack(&mut input, folder, &mut decoder);
    let outcome = result
        .as_ref()
        .map_or_else(ReceiveError::outcome, |()| Outcome::Complete);
    let answer = Answer {
        outcome,
        checksum: u64::from(decoder.checksum()),
        // Other senders complain when none is said, even where all is well.
        last_name: Some(decoder.last_name().to_vec()),
    };
    (answer, result)
}

fn unpack(
    input: &mut impl Read,
    folder: &Incoming,
    decoder: &mut Decoder,
) -> Result<(), ReceiveError> {
    let mut buffer = vec![0; PIECE];
    let mut unpacking = Unpacking {
        folder,
        open_folders: Vec::new(),
        open_names: 0,
        file: None,
    };
    loop {
        let length = match input.read(&mut buffer) {
            Ok(0) if decoder.between_entries() => return Err(ReceiveError::EndedEarly),
            Ok(0) => return Err(ReceiveError::CutOff),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(ReceiveError::Read(error)),
        };
        let mut piece = &buffer[..length];
        while let Some(event) = decoder.next(&mut piece)? {
            if let Event::End(_) = event {
                return folder.sync().map_err(ReceiveError::Write);
            }
            unpacking.handle(event).map_err(ReceiveError::Write)?;
        }
    }
}

struct Unpacking<'f> {
    folder: &'f Incoming,
    /// Folders made by this copy whose second header has not come, outermost first.
    open_folders: Vec<EntryName>,
    /// Bytes of their names.
    open_names: usize,
    file: Option<Unnamed>,
}

impl Unpacking<'_> {
    fn handle(&mut self, event: Event<'_>) -> Result<(), Errno> {
        match event {
            Event::Folder(entry) => {
                let known = self
                    .open_folders
                    .iter()
                    .rposition(|name| *name == entry.name);
                if let Some(at) = known {
                    let closed = self.open_folders.drain(at..);
                    self.open_names -= closed.map(|name| name.as_bytes().len()).sum::<usize>();
                    return self.folder.finish_folder(&entry);
                }
                self.open_names += entry.name.as_bytes().len();
                if self.open_names > OPEN_NAMES_MAX {
                    return Err(Errno::EDQUOT);
                }
                self.folder.make_folder(&entry)?;
                self.open_folders.push(entry.name);
                Ok(())
            }
            Event::FileBegins(entry) => {
                self.file = Some(self.folder.begin_file(entry)?);
                Ok(())
            }
            Event::Content(piece) => self.file.as_mut().map_or(Ok(()), |file| file.write(piece)),
            Event::FileEnds => self.file.take().map_or(Ok(()), Unnamed::publish),
            Event::Link(entry, target) => self.folder.make_link(&entry, &target),
            Event::End(_) => Ok(()),
        }
    }
}
