// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes in, checked messages out, however the bytes were cut.

use crate::limits::HEADER_SIZE;
use crate::message::Message;
use crate::wire::Words;
use crate::{Kind, Screen, Version, Violation, WindowId};

/// Collects a peer's bytes until they are something.
///
/// Feed what arrived, then take until `None`. A header is judged as soon as it is
/// there, so the decoder never waits for a body that it would refuse and never keeps
/// more than one message of the largest allowed size beyond what was fed at once.
///
/// ```
/// use gui_protocol::{Decoder, FromAgent, Message, Version, WindowId};
/// let mut decoder = Decoder::default();
/// decoder.feed(&FromAgent::Unmap.to_bytes(WindowId(7)));
/// let message = decoder.message::<FromAgent>(Version::OURS);
/// assert_eq!(message, Ok(Some((WindowId(7), FromAgent::Unmap))));
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    taken: usize,
}

impl Decoder {
    /// Appends what arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes that are kept and not yet taken.
    pub fn pending(&self) -> usize {
        self.bytes.len() - self.taken
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Takes a version: the first thing either side sends.
    pub fn version(&mut self) -> Option<Version> {
        let word = *self.rest().first_chunk()?;
        self.taken += word.len();
        Some(Version::from_word(u32::from_le_bytes(word)))
    }

    /// Takes the daemon's screen: what follows its version.
    pub fn screen(&mut self) -> Option<Screen> {
        let mut words = Words::new(self.rest().get(..Screen::SIZE)?);
        let screen = Screen::from_words(std::array::from_fn(|_| words.u32()));
        self.taken += Screen::SIZE;
        Some(screen)
    }

    /// Takes a message, of the version both sides agreed on.
    ///
    /// After a violation the stream has no meaning any more: drop the decoder.
    pub fn message<M: Message>(
        &mut self,
        version: Version,
    ) -> Result<Option<(WindowId, M)>, Violation> {
        let rest = self.rest();
        if rest.len() < HEADER_SIZE {
            return Ok(None);
        }
        let mut words = Words::new(rest);
        let [number, window, length] = std::array::from_fn(|_| words.u32());
        let kind = Kind::from_word(number).ok_or(Violation::UnknownKind(number))?;
        if !kind.sent_by(M::SENDER) {
            return Err(Violation::WrongWay(kind));
        }
        if kind == Kind::MfnDump {
            return Err(Violation::MachineFrames);
        }
        let length = kind.check_length(length, version)?;
        let Some(body) = rest.get(HEADER_SIZE..HEADER_SIZE + length) else {
            return Ok(None);
        };
        let message = M::decode_body(kind, body)?;
        self.taken += HEADER_SIZE + length;
        Ok(Some((WindowId(window), message)))
    }
}
