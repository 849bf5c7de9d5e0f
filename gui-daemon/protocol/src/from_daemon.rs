// SPDX-License-Identifier: MIT OR Apache-2.0
//! The messages a daemon sends.

use crate::message::{Message, sealed};
use crate::wire::{Words, put};
use crate::{Kind, Sender, Violation, WindowFlags, WireRect};

/// A message from a daemon. Every field has a value: nothing on the wire is left over
/// from somewhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromDaemon {
    /// 124, 20 bytes: type (2 press, 3 release), x, y, state, keycode.
    Key(Press),
    /// 125, 20 bytes: type (4 press, 5 release), x, y, state, button.
    Button(Press),
    /// 126, 16 bytes: x, y, state, is-hint.
    Motion {
        /// Where the pointer is, in the window.
        at: (i32, i32),
        /// Modifiers and buttons held.
        state: u32,
    },
    /// 127, 28 bytes: type (7 enter, 8 leave), x, y, state, mode, detail, focus.
    Crossing {
        /// Whether the pointer came or left.
        enter: bool,
        /// Where the pointer is, in the window.
        at: (i32, i32),
        /// Modifiers and buttons held.
        state: u32,
    },
    /// 128, 12 bytes: type (9 in, 10 out), mode, detail; mode is always "normal".
    Focus {
        /// Whether the window got the keyboard or lost it.
        gained: bool,
    },
    /// 131, empty: the id may be used again (since 1.5).
    Destroy,
    /// 132, 8 bytes: the window manager shows the window.
    Map,
    /// 134, 20 bytes: the window is there now; to be answered with the same.
    Configure {
        /// Position in the root window and size.
        rect: WireRect,
        /// Whether the window manager leaves it alone.
        override_redirect: bool,
    },
    /// 137, empty: the user asked to close the window.
    Close,
    /// 139, empty: send the clipboard.
    ClipboardRequest,
    /// 140: take this text into the clipboard.
    ClipboardData(Vec<u8>),
    /// 142, 32 bytes: the keys that are down, one bit each; sent with window 0.
    KeymapNotify([u8; 32]),
    /// 145, 8 bytes: flags that the window manager set and unset.
    WindowFlags(WindowFlags),
    /// 149, empty: the pages of the image before are no longer used (since 1.7).
    WindowDumpAck,
}

/// A key or a button that went down or up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Press {
    /// Down, or up.
    pub down: bool,
    /// Where the pointer is, in the window.
    pub at: (i32, i32),
    /// Modifiers and buttons held before it.
    pub state: u32,
    /// The X keycode, or the button's number.
    pub code: u32,
}

impl Press {
    fn read(words: &mut Words<'_>, down: u32) -> Self {
        Self {
            down: words.u32() == down,
            at: (words.i32(), words.i32()),
            state: words.u32(),
            code: words.u32(),
        }
    }

    fn write(self, out: &mut Vec<u8>, [down, up]: [u32; 2]) {
        let kind = if self.down { down } else { up };
        put(out, &[kind, self.at.0 as u32, self.at.1 as u32]);
        put(out, &[self.state, self.code]);
    }
}

/// Numbers of X's events, which name the direction of an input message.
const KEY: [u32; 2] = [2, 3];
const BUTTON: [u32; 2] = [4, 5];
const CROSSING: [u32; 2] = [7, 8];
const FOCUS: [u32; 2] = [9, 10];

impl sealed::Sealed for FromDaemon {}
impl Message for FromDaemon {
    const SENDER: Sender = Sender::Daemon;

    fn kind(&self) -> Kind {
        match self {
            Self::Key(_) => Kind::KeyPress,
            Self::Button(_) => Kind::Button,
            Self::Motion { .. } => Kind::Motion,
            Self::Crossing { .. } => Kind::Crossing,
            Self::Focus { .. } => Kind::Focus,
            Self::Destroy => Kind::Destroy,
            Self::Map => Kind::Map,
            Self::Configure { .. } => Kind::Configure,
            Self::Close => Kind::Close,
            Self::ClipboardRequest => Kind::ClipboardRequest,
            Self::ClipboardData(_) => Kind::ClipboardData,
            Self::KeymapNotify(_) => Kind::KeymapNotify,
            Self::WindowFlags(_) => Kind::WindowFlags,
            Self::WindowDumpAck => Kind::WindowDumpAck,
        }
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Destroy | Self::Close | Self::ClipboardRequest | Self::WindowDumpAck => {}
            Self::Key(press) => press.write(out, KEY),
            Self::Button(press) => press.write(out, BUTTON),
            Self::Motion { at, state } => put(out, &[at.0 as u32, at.1 as u32, *state, 0]),
            Self::Crossing { enter, at, state } => {
                let kind = if *enter { CROSSING[0] } else { CROSSING[1] };
                put(out, &[kind, at.0 as u32, at.1 as u32, *state, 0, 0, 0]);
            }
            Self::Focus { gained } => {
                put(out, &[if *gained { FOCUS[0] } else { FOCUS[1] }, 0, 0]);
            }
            Self::Map => put(out, &[0, 0]),
            Self::Configure {
                rect,
                override_redirect,
            } => {
                put(out, &rect.words());
                put(out, &[u32::from(*override_redirect)]);
            }
            Self::ClipboardData(text) => out.extend_from_slice(text),
            Self::KeymapNotify(keys) => out.extend_from_slice(keys),
            Self::WindowFlags(flags) => put(out, &[flags.set, flags.unset]),
        }
    }

    fn decode_body(kind: Kind, body: &[u8]) -> Result<Self, Violation> {
        let mut words = Words::new(body);
        Ok(match kind {
            Kind::KeyPress => Self::Key(Press::read(&mut words, KEY[0])),
            Kind::Button => Self::Button(Press::read(&mut words, BUTTON[0])),
            Kind::Motion => Self::Motion {
                at: (words.i32(), words.i32()),
                state: words.u32(),
            },
            Kind::Crossing => Self::Crossing {
                enter: words.u32() == CROSSING[0],
                at: (words.i32(), words.i32()),
                state: words.u32(),
            },
            Kind::Focus => Self::Focus {
                gained: words.u32() == FOCUS[0],
            },
            Kind::Destroy => Self::Destroy,
            Kind::Map => Self::Map,
            Kind::Configure => Self::Configure {
                rect: WireRect::read(&mut words),
                override_redirect: words.u32() != 0,
            },
            Kind::Close => Self::Close,
            Kind::ClipboardRequest => Self::ClipboardRequest,
            Kind::ClipboardData => Self::ClipboardData(body.to_vec()),
            Kind::KeymapNotify => Self::KeymapNotify(words.bytes()),
            Kind::WindowFlags => Self::WindowFlags(WindowFlags {
                set: words.u32(),
                unset: words.u32(),
            }),
            Kind::WindowDumpAck => Self::WindowDumpAck,
            other => return Err(Violation::WrongWay(other)),
        })
    }
}
