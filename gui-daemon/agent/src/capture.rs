// SPDX-License-Identifier: GPL-3.0-or-later
//! From the guest's X server into the pages that the daemon reads.
//!
//! The server writes the changed parts into memory that it shares with this process
//! (MIT-SHM); from there only those rows go into the granted pages. Granted pages cannot
//! be given to the server directly: under Xen their descriptor has no size.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use bulkhead_vchan::{ShareError, SharedMemory, SharedPages};
use gui_protocol::limits::MAX_IMAGE_PAGES;
use gui_protocol::{Dump, FromAgent, Version, WireRect};
use thiserror::Error;
use x11rb::connection::Connection;
use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::shm::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{ImageFormat, Pixmap};
use x11rb::rust_connection::RustConnection;

use crate::changed::Part;
use crate::link::Link;

/// Bytes of a pixel.
const PIXEL: usize = 4;
/// How many bytes are copied in one go: small enough for the processor's cache.
const CHUNK: usize = 64 * 1024;
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

/// Memory into which the server writes what it is asked for.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    shared: Option<(SharedMemory, shm::Seg)>,
    buffer: Vec<u8>,
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
    /// Copies parts of a pixmap into a window's pages.
    ///
    /// Returns false if the server does not have them any more: the window changed its
    /// size or went away, and an event about that is on its way.
    pub(crate) fn capture(
        &mut self,
        conn: &RustConnection,
        pixmap: Pixmap,
        parts: &[Part],
        buffer: &mut Buffer,
    ) -> Result<bool, CaptureError> {
        let Some((pages, (width, _))) = &mut buffer.current else {
            return Ok(false);
        };
        let needed: usize = parts.iter().map(|part| part.pixels() * PIXEL).sum();
        self.make_room(conn, needed)?;
        let Some((memory, segment)) = &self.shared else {
            return Ok(false);
        };
        let mut offset = 0;
        let mut asked = Vec::with_capacity(parts.len());
        for part in parts {
            let cookie = conn.shm_get_image(
                pixmap,
                part.x as i16,
                part.y as i16,
                part.width as u16,
                part.height as u16,
                !0,
                u8::from(ImageFormat::Z_PIXMAP),
                *segment,
                offset as u32,
            )?;
            asked.push((cookie, offset, *part));
            offset += part.pixels() * PIXEL;
        }
        let stride = *width as usize * PIXEL;
        let mut whole = true;
        for (cookie, offset, part) in asked {
            match cookie.reply() {
                Ok(_) => {}
                Err(ReplyError::ConnectionError(lost)) => return Err(lost.into()),
                Err(ReplyError::X11Error(_)) => {
                    whole = false;
                    continue;
                }
            }
            let start = part.y as usize * stride + part.x as usize * PIXEL;
            let row = part.width as usize * PIXEL;
            let bytes = row * part.height as usize;
            // Rows that fill the window lie next to each other.
            let step = if row == stride { CHUNK } else { row };
            for done in (0..bytes).step_by(step) {
                let length = step.min(bytes - done);
                let place = if row == stride {
                    done
                } else {
                    done / row * stride
                };
                self.buffer.resize(length.max(self.buffer.len()), 0);
                memory.read(offset + done, &mut self.buffer[..length])?;
                pages.write(start + place, &self.buffer[..length])?;
            }
        }
        Ok(whole)
    }

    fn make_room(&mut self, conn: &RustConnection, needed: usize) -> Result<(), CaptureError> {
        if self
            .shared
            .as_ref()
            .is_some_and(|(memory, _)| memory.len() >= needed)
        {
            return Ok(());
        }
        if let Some((_, segment)) = self.shared.take() {
            conn.shm_detach(segment)?;
        }
        let memory = SharedMemory::create("bulkhead-capture", needed.max(1).next_power_of_two())?;
        let segment = conn.generate_id()?;
        let fd: OwnedFd = memory.fd().try_clone_to_owned()?;
        conn.shm_attach_fd(segment, fd, false)?;
        self.shared = Some((memory, segment));
        Ok(())
    }
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
