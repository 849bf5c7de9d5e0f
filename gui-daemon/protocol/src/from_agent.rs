// SPDX-License-Identifier: MIT OR Apache-2.0
//! The messages an agent sends.

use crate::limits::{MAX_HEIGHT, MAX_WIDTH, PAGE_SIZE};
use crate::message::{Message, sealed};
use crate::wire::{Words, put};
use crate::{
    ClassPart, Kind, Sender, Title, Violation, WindowFlags, WindowHints, WindowId, WireRect,
};

/// A message from an agent, of sound structure.
///
/// Numbers inside are still the guest's wishes: the receiver clamps them. Only a
/// [`Dump`] is checked whole, since pages are mapped by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromAgent {
    /// 130, 24 bytes: x, y, width, height, parent (ignored), override-redirect.
    Create {
        /// Where, in the guest's root window.
        rect: WireRect,
        /// Whether the window manager should leave it alone.
        override_redirect: bool,
    },
    /// 131, empty: the window is gone. Its id is free after the answer.
    Destroy,
    /// 132, 8 bytes: transient-for, override-redirect.
    Map {
        /// The window it belongs to; 0 is none.
        transient_for: WindowId,
        /// Whether the window manager should leave it alone.
        override_redirect: bool,
    },
    /// 133, empty: the window is hidden.
    Unmap,
    /// 134, 20 bytes: x, y, width, height, override-redirect (ignored). A wish, or the
    /// answer to the daemon's own CONFIGURE.
    Configure(WireRect),
    /// 136, 16 bytes: this rectangle of the image changed.
    ShmImage(WireRect),
    /// 140: clipboard text. Longer than [`crate::limits::MAX_CLIPBOARD`] means "too long".
    ClipboardData(Vec<u8>),
    /// 141, 128 bytes: the title, padded with NUL.
    WmName(Title),
    /// 143, empty: make the window a tray icon.
    Dock,
    /// 144, 36 bytes: flags, then minimum, maximum, increment and base size.
    WindowHints(WindowHints),
    /// 145, 8 bytes: flags to set and to unset.
    WindowFlags(WindowFlags),
    /// 146, 128 bytes: class, then instance, 64 bytes each.
    WmClass {
        /// The class of the program.
        class: ClassPart,
        /// Which instance of it.
        instance: ClassPart,
    },
    /// 147, 16 + 4n bytes: a new image.
    WindowDump(Dump),
    /// 148, 4 bytes: 0 for the default, or 0x100 + a glyph of the cursor font.
    Cursor(u32),
}

/// An image and the pages that hold it.
///
/// Checked: size within the limits, kind 0 (grant references), pages enough for
/// width x height x 4 bytes. Rows are packed tightly; a size of zero is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    width: u32,
    height: u32,
    refs: Vec<u32>,
}

impl Dump {
    /// Describes an image; refuses what a peer would refuse.
    pub fn new(width: u32, height: u32, refs: Vec<u32>) -> Result<Self, Violation> {
        if width > MAX_WIDTH || height > MAX_HEIGHT {
            return Err(Violation::ImageSize { width, height });
        }
        let needed = Self::pages_for(width, height);
        if refs.len() < needed {
            return Err(Violation::TooFewPages {
                given: refs.len(),
                needed,
            });
        }
        Ok(Self {
            width,
            height,
            refs,
        })
    }

    /// Pages that an image of this size takes.
    pub fn pages_for(width: u32, height: u32) -> usize {
        (width as usize * height as usize * 4).div_ceil(PAGE_SIZE)
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The references that hold pixels; surplus ones are left out.
    pub fn refs(&self) -> &[u32] {
        &self.refs[..Self::pages_for(self.width, self.height)]
    }
}

/// Grant references: the only kind of WINDOW_DUMP there is.
const DUMP_KIND_GRANTS: u32 = 0;
/// What agents state as bits per pixel; readers ignore it.
const DUMP_BPP: u32 = 32;

impl sealed::Sealed for FromAgent {}
impl Message for FromAgent {
    const SENDER: Sender = Sender::Agent;

    fn kind(&self) -> Kind {
        match self {
            Self::Create { .. } => Kind::Create,
            Self::Destroy => Kind::Destroy,
            Self::Map { .. } => Kind::Map,
            Self::Unmap => Kind::Unmap,
            Self::Configure(_) => Kind::Configure,
            Self::ShmImage(_) => Kind::ShmImage,
            Self::ClipboardData(_) => Kind::ClipboardData,
            Self::WmName(_) => Kind::WmName,
            Self::Dock => Kind::Dock,
            Self::WindowHints(_) => Kind::WindowHints,
            Self::WindowFlags(_) => Kind::WindowFlags,
            Self::WmClass { .. } => Kind::WmClass,
            Self::WindowDump(_) => Kind::WindowDump,
            Self::Cursor(_) => Kind::Cursor,
        }
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Destroy | Self::Unmap | Self::Dock => {}
            Self::Create {
                rect,
                override_redirect,
            } => {
                put(out, &rect.words());
                put(out, &[0, u32::from(*override_redirect)]);
            }
            Self::Map {
                transient_for,
                override_redirect,
            } => put(out, &[transient_for.0, u32::from(*override_redirect)]),
            Self::Configure(rect) => {
                put(out, &rect.words());
                put(out, &[0]);
            }
            Self::ShmImage(rect) => put(out, &rect.words()),
            Self::ClipboardData(text) => out.extend_from_slice(text),
            Self::WmName(title) => title.write(out),
            Self::WindowHints(hints) => hints.write(out),
            Self::WindowFlags(flags) => put(out, &[flags.set, flags.unset]),
            Self::WmClass { class, instance } => {
                class.write(out);
                instance.write(out);
            }
            Self::WindowDump(dump) => {
                put(out, &[DUMP_KIND_GRANTS, dump.width, dump.height, DUMP_BPP]);
                put(out, &dump.refs);
            }
            Self::Cursor(cursor) => put(out, &[*cursor]),
        }
    }

    fn decode_body(kind: Kind, body: &[u8]) -> Result<Self, Violation> {
        let mut words = Words::new(body);
        Ok(match kind {
            Kind::Create => {
                let rect = WireRect::read(&mut words);
                let _parent = words.u32();
                Self::Create {
                    rect,
                    override_redirect: words.u32() != 0,
                }
            }
            Kind::Destroy => Self::Destroy,
            Kind::Map => Self::Map {
                transient_for: WindowId(words.u32()),
                override_redirect: words.u32() != 0,
            },
            Kind::Unmap => Self::Unmap,
            Kind::Configure => Self::Configure(WireRect::read(&mut words)),
            Kind::ShmImage => Self::ShmImage(WireRect::read(&mut words)),
            Kind::ClipboardData => Self::ClipboardData(body.to_vec()),
            Kind::WmName => Self::WmName(Title::read(&mut words)),
            Kind::Dock => Self::Dock,
            Kind::WindowHints => Self::WindowHints(WindowHints::read(&mut words)),
            Kind::WindowFlags => Self::WindowFlags(WindowFlags {
                set: words.u32(),
                unset: words.u32(),
            }),
            Kind::WmClass => Self::WmClass {
                class: ClassPart::read(&mut words),
                instance: ClassPart::read(&mut words),
            },
            Kind::WindowDump => {
                let [kind, width, height, _bpp] = std::array::from_fn(|_| words.u32());
                if kind != DUMP_KIND_GRANTS {
                    return Err(Violation::DumpKind(kind));
                }
                Self::WindowDump(Dump::new(width, height, words.all())?)
            }
            Kind::Cursor => Self::Cursor(words.u32()),
            // Machine frame numbers name memory that was never granted.
            Kind::MfnDump => return Err(Violation::MachineFrames),
            other => return Err(Violation::WrongWay(other)),
        })
    }
}
