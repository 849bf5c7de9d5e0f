// SPDX-License-Identifier: GPL-3.0-or-later
//! From the guest's X server into the pages that the daemon reads.
//!
//! The server writes the changed parts, band by band, into memory that it shares with this
//! process (MIT-SHM), while this process copies the bands before into the granted pages. Granted pages cannot
//! be given to the server directly: under Xen their descriptor has no size.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use bulkhead_vchan::{ShareError, SharedMemory, SharedPages};
use gui_protocol::limits::{MAX_IMAGE_PAGES, MAX_WIDTH};
use gui_protocol::{Dump, FromAgent, Version, WireRect};
use thiserror::Error;
use x11rb::connection::Connection;
use x11rb::cookie::Cookie;
use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::shm::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{ImageFormat, Pixmap};
use x11rb::rust_connection::RustConnection;

use crate::changed::Part;
use crate::link::Link;

/// Bytes of a pixel.
const PIXEL: usize = 4;
/// The server writes into one slot while others are copied from. Together they are small
/// enough for the processor's cache, and one holds the longest row.
const SLOT: usize = 256 * 1024;
const SLOTS: usize = 4;
const _: () = assert!(SLOT >= MAX_WIDTH as usize * PIXEL);
/// Pages that are far more than needed are given up.
const WASTE: usize = 4;

/// Why a window could not be captured.
#[derive(Debug, Error)]
pub(crate) enum CaptureError {
    #[error("lost the X server")]
    Lost(#[from] ConnectionError),
    #[error("the X server refused")]
    Refused(#[from] ReplyOrIdError),
    #[error("no memory to capture into")]
    Memory(#[from] std::io::Error),
    #[error("no pages to share")]
    Pages(#[from] ShareError),
}

/// What the server writes into, once it was needed.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    staging: Option<Staging>,
}

/// Memory of some slots that is shared with the server.
#[derive(Debug)]
struct Staging {
    memory: SharedMemory,
    segment: shm::Seg,
}

/// A window's pages: what the daemon looks at, and what it may still look at.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    current: Option<(SharedPages, (u32, u32))>,
    /// One per unanswered WINDOW_DUMP: the pages that it replaced.
    replaced: VecDeque<Option<SharedPages>>,
    spare: Option<SharedPages>,
}

impl Buffer {
    /// Whether there is an image of this size.
    pub(crate) fn holds(&self, size: (u32, u32)) -> bool {
        self.current.as_ref().is_some_and(|(_, held)| *held == size)
    }

    /// Makes room for an image of this size. The old pages stay as they are until the
    /// daemon has let go of them, so nobody ever sees them with the wrong row length.
    pub(crate) fn resize(&mut self, size: (u32, u32), link: &Link) -> Result<(), ShareError> {
        let needed = Dump::pages_for(size.0, size.1).max(1);
        let fits = |pages: &SharedPages| (needed..=needed * WASTE).contains(&pages.refs().len());
        let pages = match self.spare.take().filter(fits) {
            Some(pages) => pages,
            // Some room, since a window that is being resized asks again and again.
            None => link
                .share((needed + needed / 4).min(MAX_IMAGE_PAGES))
                .or_else(|_| link.share(needed))?,
        };
        let old = self.current.replace((pages, size)).map(|(pages, _)| pages);
        if !link.acknowledges(Version::DUMP_ACK) {
            self.replaced.clear();
        }
        self.replaced.push_back(old);
        Ok(())
    }

    /// The daemon has let go of the oldest pages.
    pub(crate) fn acknowledged(&mut self) {
        if let Some(Some(pages)) = self.replaced.pop_front() {
            self.spare = Some(pages);
        }
    }

    /// The message that announces the present image.
    pub(crate) fn dump(&self) -> Option<FromAgent> {
        let (pages, (width, height)) = self.current.as_ref()?;
        let needed = Dump::pages_for(*width, *height);
        let refs = pages.refs().get(..needed)?.to_vec();
        Dump::new(*width, *height, refs)
            .ok()
            .map(FromAgent::WindowDump)
    }
}

impl Capture {
    /// Copies parts of a pixmap into a window's pages, and says of each band that is there.
    ///
    /// Returns false if the server does not have them any more: the window changed its
    /// size or went away, and an event about that is on its way.
    pub(crate) fn capture(
        &mut self,
        conn: &RustConnection,
        pixmap: Pixmap,
        parts: &[Part],
        buffer: &mut Buffer,
        mut captured: impl FnMut(Part),
    ) -> Result<bool, CaptureError> {
        let Some((pages, (width, _))) = &mut buffer.current else {
            return Ok(false);
        };
        let staging = match &mut self.staging {
            Some(staging) => staging,
            none => none.insert(Staging::make(conn)?),
        };
        let stride = *width as usize * PIXEL;
        let mut whole = true;
        let mut bands = bands(parts).zip((0..SLOTS).cycle());
        let mut asked = VecDeque::with_capacity(SLOTS);
        loop {
            while asked.len() < SLOTS
                && let Some((band, slot)) = bands.next()
            {
                asked.push_back((staging.ask(conn, pixmap, band, slot)?, band, slot));
            }
            let Some((answer, band, slot)) = asked.pop_front() else {
                return Ok(whole);
            };
            match answer.reply() {
                Ok(_) => {
                    staging.deliver(band, slot, stride, pages)?;
                    captured(band);
                }
                Err(ReplyError::ConnectionError(lost)) => return Err(lost.into()),
                Err(ReplyError::X11Error(_)) => whole = false,
            }
        }
    }
}

impl Staging {
    fn make(conn: &RustConnection) -> Result<Self, CaptureError> {
        let memory = SharedMemory::create("bulkhead-capture", SLOTS * SLOT)?;
        let segment = conn.generate_id()?;
        let fd: OwnedFd = memory.fd().try_clone_to_owned()?;
        conn.shm_attach_fd(segment, fd, false)?;
        Ok(Self { memory, segment })
    }

    /// Asks the server to write a band into a slot.
    fn ask<'c>(
        &self,
        conn: &'c RustConnection,
        pixmap: Pixmap,
        band: Part,
        slot: usize,
    ) -> Result<Cookie<'c, RustConnection, shm::GetImageReply>, ConnectionError> {
        conn.shm_get_image(
            pixmap,
            band.x as i16,
            band.y as i16,
            band.width as u16,
            band.height as u16,
            !0,
            u8::from(ImageFormat::Z_PIXMAP),
            self.segment,
            (slot * SLOT) as u32,
        )
    }

    /// Copies a band that the server has written to its place in a window's pages.
    fn deliver(
        &self,
        band: Part,
        slot: usize,
        stride: usize,
        pages: &mut SharedPages,
    ) -> Result<(), ShareError> {
        let from = slot * SLOT;
        let start = band.y as usize * stride + band.x as usize * PIXEL;
        let (row, rows) = (band.width as usize * PIXEL, band.height as usize);
        if row == stride {
            // Rows that fill the window lie next to each other.
            return pages.write_from(start, &self.memory, from, rows * row);
        }
        (0..rows).try_for_each(|n| {
            pages.write_from(start + n * stride, &self.memory, from + n * row, row)
        })
    }
}

/// Cuts parts into bands of whole rows, of which each fits a slot.
fn bands(parts: &[Part]) -> impl Iterator<Item = Part> {
    parts.iter().flat_map(|part| {
        let height = (SLOT / (part.width.max(1) as usize * PIXEL)).max(1) as u32;
        let tops = (0..part.height).step_by(height as usize);
        tops.map(move |top| Part {
            y: part.y + top,
            height: height.min(part.height - top),
            ..*part
        })
    })
}

/// A part as the daemon is told.
pub(crate) fn image_changed(part: Part) -> FromAgent {
    FromAgent::ShmImage(WireRect {
        x: part.x as i32,
        y: part.y as i32,
        width: part.width,
        height: part.height,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_cover_every_part_once_and_fit_their_slot() {
        let wide = Part::whole(MAX_WIDTH, 10);
        let tall = Part {
            x: 7,
            y: 3,
            width: 1900,
            height: 1000,
        };
        for part in [wide, tall, Part::whole(1, 1)] {
            let bands: Vec<Part> = bands(&[part]).collect();
            assert!(bands.iter().all(|band| band.pixels() * PIXEL <= SLOT));
            assert!(
                bands
                    .iter()
                    .all(|band| (band.x, band.width) == (part.x, part.width))
            );
            let mut next = part.y;
            for band in bands {
                assert_eq!(band.y, next);
                next += band.height;
            }
            assert_eq!(next, part.y + part.height);
        }
        assert_eq!(bands(&[Part::default()]).count(), 0);
    }
}
