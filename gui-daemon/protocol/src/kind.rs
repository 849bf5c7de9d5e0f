// SPDX-License-Identifier: MIT OR Apache-2.0
//! The numbers of the messages and the length each body must have.

use crate::limits::{CLIPBOARD_OVERFLOW, MAX_CLIPBOARD, MAX_CLIPBOARD_OLD, MAX_DUMP_BODY};
use crate::{Version, Violation};

/// What a message is about: the first word of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "described where each body is")]
#[repr(u32)]
pub enum Kind {
    KeyPress = 124,
    Button = 125,
    Motion = 126,
    Crossing = 127,
    Focus = 128,
    Create = 130,
    Destroy = 131,
    Map = 132,
    Unmap = 133,
    Configure = 134,
    MfnDump = 135,
    ShmImage = 136,
    Close = 137,
    ClipboardRequest = 139,
    ClipboardData = 140,
    WmName = 141,
    KeymapNotify = 142,
    Dock = 143,
    WindowHints = 144,
    WindowFlags = 145,
    WmClass = 146,
    WindowDump = 147,
    Cursor = 148,
    WindowDumpAck = 149,
}

/// Who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The agent in the guest.
    Agent,
    /// The daemon in the domain that owns the screen.
    Daemon,
}

/// Which body lengths a message may have.
pub(crate) enum Length {
    Exactly(usize),
    /// `least`, then whole words up to `most`.
    Words {
        least: usize,
        most: usize,
    },
    AtMost(usize),
}

impl Kind {
    /// Every live message.
    pub const ALL: [Self; 24] = [
        Self::KeyPress,
        Self::Button,
        Self::Motion,
        Self::Crossing,
        Self::Focus,
        Self::Create,
        Self::Destroy,
        Self::Map,
        Self::Unmap,
        Self::Configure,
        Self::MfnDump,
        Self::ShmImage,
        Self::Close,
        Self::ClipboardRequest,
        Self::ClipboardData,
        Self::WmName,
        Self::KeymapNotify,
        Self::Dock,
        Self::WindowHints,
        Self::WindowFlags,
        Self::WmClass,
        Self::WindowDump,
        Self::Cursor,
        Self::WindowDumpAck,
    ];

    /// The message with this number, if it is live.
    pub fn from_word(word: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u32 == word)
    }

    /// Whether this side may send it.
    pub fn sent_by(self, sender: Sender) -> bool {
        use Kind::*;
        match self {
            Destroy | Map | Configure | ClipboardData | WindowFlags => true,
            Create | Unmap | MfnDump | ShmImage | WmName | Dock | WindowHints | WmClass
            | WindowDump | Cursor => sender == Sender::Agent,
            KeyPress | Button | Motion | Crossing | Focus | Close | ClipboardRequest
            | KeymapNotify | WindowDumpAck => sender == Sender::Daemon,
        }
    }

    pub(crate) fn length(self, version: Version) -> Length {
        use Kind::*;
        match self {
            Destroy | Unmap | Close | ClipboardRequest | Dock | WindowDumpAck => Length::Exactly(0),
            Cursor => Length::Exactly(4),
            Map | WindowFlags => Length::Exactly(8),
            Focus => Length::Exactly(12),
            Motion | ShmImage => Length::Exactly(16),
            KeyPress | Button | Configure => Length::Exactly(20),
            Create => Length::Exactly(24),
            Crossing => Length::Exactly(28),
            KeymapNotify => Length::Exactly(32),
            WindowHints => Length::Exactly(36),
            WmName | WmClass => Length::Exactly(128),
            WindowDump => Length::Words {
                least: 16,
                most: MAX_DUMP_BODY,
            },
            MfnDump => Length::Words {
                least: 28,
                most: MAX_DUMP_BODY,
            },
            ClipboardData if version < Version::LARGE_CLIPBOARD => {
                Length::AtMost(MAX_CLIPBOARD_OLD)
            }
            ClipboardData => Length::AtMost(CLIPBOARD_OVERFLOW.max(MAX_CLIPBOARD)),
        }
    }

    /// Checks the length in a header, before a byte of the body is kept.
    ///
    /// Returns the bytes that follow. Below 1.6 a wrong length of a fixed message is
    /// tolerated and the right one assumed, as those agents expect.
    pub(crate) fn check_length(self, stated: u32, version: Version) -> Result<usize, Violation> {
        let wrong = Violation::Length {
            kind: self,
            length: stated,
        };
        let length = usize::try_from(stated).map_err(|_| wrong)?;
        let fits = match self.length(version) {
            Length::Exactly(n) if version < Version::STRICT_LENGTH => return Ok(n),
            Length::Exactly(n) => length == n,
            Length::Words { least, most } => {
                (least..=most).contains(&length) && length.is_multiple_of(4)
            }
            Length::AtMost(most) => length <= most,
        };
        if fits { Ok(length) } else { Err(wrong) }
    }
}
