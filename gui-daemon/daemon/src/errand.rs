// SPDX-License-Identifier: GPL-3.0-or-later
//! What a confined session asks of the process that started it, and the answers.
//!
//! | to the launcher | meaning |
//! |---|---|
//! | u32 0 | the agent has said its version |
//! | u32 n, n × u32 | find the pages with these n references |
//!
//! | to the session | meaning |
//! |---|---|
//! | u32 0, u32 0, u64 0 | there are none |
//! | u32 1, u32 n, u64 0, a descriptor | n pages, at the beginning of a file |
//! | u32 2, u32 n, u64 index, a descriptor | n pages, at an index of a device |
//!
//! The launcher does not trust the session: a guest may have taken it over. Whatever it asks
//! for, it gets pages of its own guest only.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bulkhead_types::DomId;
use bulkhead_vchan::{HeldPages, MappedPages, PagesPlace, SHARE_MAX, ShareError};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

const REFUSED: u32 = 0;
const IN_A_FILE: u32 = 1;
const AT_A_DEVICE: u32 = 2;
/// Bytes of an answer.
const ANSWER: usize = 16;
/// A session that begins a sentence ends it at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a session asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Nothing: the agent is there.
    Ready,
    /// The guest's pages with these references.
    Pages(Vec<u32>),
}

/// The launcher's end.
#[derive(Debug)]
pub(crate) struct FromSession(UnixStream);

impl FromSession {
    pub(crate) fn new(line: UnixStream) -> io::Result<Self> {
        line.set_read_timeout(Some(PATIENCE))?;
        line.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(line))
    }

    /// The next errand. An error ends the session: it is gone, or is not what it was.
    pub(crate) fn next(&mut self) -> io::Result<Errand> {
        let count = self.word()? as usize;
        if count == 0 {
            return Ok(Errand::Ready);
        }
        if count > SHARE_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; count * size_of::<u32>()];
        self.0.read_exact(&mut bytes)?;
        let (words, _) = bytes.as_chunks();
        let references = words.iter().map(|word| u32::from_le_bytes(*word));
        Ok(Errand::Pages(references.collect()))
    }

    fn word(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.0.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Hands over the pages that were asked for, if there are such.
    pub(crate) fn answer(&mut self, pages: Option<&HeldPages>) -> io::Result<()> {
        let Some(pages) = pages else {
            return self.0.write_all(&[0; ANSWER]);
        };
        let PagesPlace { index, count } = pages.place();
        let kind = if index.is_some() {
            AT_A_DEVICE
        } else {
            IN_A_FILE
        };
        let mut answer = [0; ANSWER];
        answer[..4].copy_from_slice(&kind.to_le_bytes());
        answer[4..8].copy_from_slice(&count.to_le_bytes());
        answer[8..].copy_from_slice(&index.unwrap_or(0).to_le_bytes());
        let descriptors = [pages.descriptor()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        let parts = [IoSlice::new(&answer)];
        match sendmsg(&self.0, &parts, &mut control, SendFlags::NOSIGNAL)? {
            ANSWER => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}

impl AsFd for FromSession {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The session's end.
#[derive(Debug)]
pub struct ToLauncher(UnixStream);

impl ToLauncher {
    /// Over the descriptor that the launcher has left as standard input.
    pub fn on_standard_input() -> io::Result<Self> {
        let line = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self(line.into()))
    }

    /// Says that the agent is there.
    pub(crate) fn ready(&mut self) -> io::Result<()> {
        self.0.write_all(&0u32.to_le_bytes())
    }

    /// Has pages of the guest found, and maps them.
    ///
    /// The outer error is the launcher's: it is gone. The inner one is the guest's.
    pub(crate) fn map(
        &mut self,
        owner: DomId,
        references: &[u32],
    ) -> io::Result<Result<MappedPages, ShareError>> {
        let none = || ShareError::NoSuchPages {
            owner,
            source: None,
        };
        if references.is_empty() {
            return Ok(Err(none()));
        }
        let words = std::iter::once(references.len() as u32).chain(references.iter().copied());
        let errand: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
        self.0.write_all(&errand)?;
        let (answer, descriptor) = self.answer()?;
        let [kind, count, ..] = answer.as_chunks().0 else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let index = answer[8..].try_into().map_or(0, u64::from_le_bytes);
        let index = match u32::from_le_bytes(*kind) {
            REFUSED => return Ok(Err(none())),
            IN_A_FILE => None,
            _ => Some(index),
        };
        let count = u32::from_le_bytes(*count);
        let descriptor = descriptor.ok_or(io::ErrorKind::InvalidData)?;
        let place = PagesPlace { index, count };
        Ok(MappedPages::receive(owner, descriptor, place))
    }

    fn answer(&mut self) -> io::Result<([u8; ANSWER], Option<OwnedFd>)> {
        let mut answer = [0; ANSWER];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut answer)];
        let received = recvmsg(&self.0, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let mut descriptors = control.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        let descriptor = descriptors.next().and_then(|mut first| first.next());
        drop(descriptors);
        self.0.read_exact(&mut answer[received.bytes..])?;
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok((answer, descriptor))
    }
}

impl AsFd for ToLauncher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_vchan::{Endpoints, Transport};

    use super::*;

    fn line() -> (FromSession, ToLauncher) {
        let (launcher, session) = UnixStream::pair().unwrap();
        (FromSession::new(launcher).unwrap(), ToLauncher(session))
    }

    #[test]
    fn a_session_gets_the_pages_of_its_guest_and_hears_when_there_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let guest = DomId::new(5).unwrap();
        let of = |own| Endpoints::new(Transport::Local(folder.path().into()), own).unwrap();
        let (ours, theirs) = (of(DomId::DOM0), of(guest));
        let mut pages = theirs.share(DomId::DOM0, 3).unwrap();
        pages.write(8190, b"pixels").unwrap();
        let (mut launcher, mut session) = line();
        let launched = std::thread::spawn(move || {
            assert_eq!(launcher.next().unwrap(), Errand::Ready);
            for _ in 0..2 {
                let Errand::Pages(references) = launcher.next().unwrap() else {
                    panic!("pages were asked for");
                };
                let held = ours.hold(guest, &references);
                launcher.answer(held.as_ref().ok()).unwrap();
            }
        });
        session.ready().unwrap();
        assert!(session.map(guest, &[77]).unwrap().is_err());
        let mapped = session.map(guest, pages.refs()).unwrap().unwrap();
        let mut seen = [0; 6];
        mapped.read(8190, &mut seen).unwrap();
        assert_eq!((&seen, mapped.len()), (b"pixels", 3 * 4096));
        launched.join().unwrap();
    }

    #[test]
    fn a_session_that_asks_for_too_much_or_stops_in_the_middle_is_over() {
        let (mut launcher, session) = line();
        (&session.0).write_all(&u32::MAX.to_le_bytes()).unwrap();
        assert_eq!(
            launcher.next().unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        let (mut launcher, session) = line();
        (&session.0).write_all(&[2, 0, 0, 0, 1]).unwrap();
        drop(session);
        assert_eq!(
            launcher.next().unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
