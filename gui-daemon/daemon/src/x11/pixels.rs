// SPDX-License-Identifier: GPL-3.0-or-later
//! Images: the guest's pages, mapped read-only, and our own copy that the X server reads.
//!
//! Each damaged pixel is copied once, with its top byte made opaque. The X server never
//! sees the guest's pages, so the guest cannot change a pixel after it was looked at, and
//! its pages are free the moment they are released here.

use std::os::fd::OwnedFd;

use bulkhead_vchan::{MappedPages, SharedMemory};
use gui_core::{Point, Rect};
use gui_protocol::{Dump, WindowId};
use x11rb::connection::Connection;
use x11rb::protocol::shm::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{ImageFormat, PropMode};
use x11rb::wrapper::ConnectionExt as _;

use super::{DisplayError, X11};

/// Bytes of a pixel.
const PIXEL: usize = 4;
/// Memory that is larger than needed by this factor is not used again.
const WASTE: usize = 2;

/// An image that can be drawn.
#[derive(Debug)]
pub(super) struct Image {
    pages: MappedPages,
    width: usize,
    height: usize,
    own: Copied,
}

/// Our copy of an image, shared with the X server.
#[derive(Debug)]
pub(super) struct Copied {
    memory: SharedMemory,
    segment: shm::Seg,
}

impl X11 {
    /// Takes the pages of a new image and memory to copy them to.
    pub fn attach(
        &mut self,
        window: WindowId,
        dump: &Dump,
        pages: MappedPages,
    ) -> Result<(), DisplayError> {
        let (width, height) = (dump.width() as usize, dump.height() as usize);
        let needed = width * height * PIXEL;
        let fits =
            |own: &Copied| (needed..=needed.saturating_mul(WASTE)).contains(&own.memory.len());
        let own = match self.spare.take() {
            Some(spare) if fits(&spare) => spare,
            other => {
                self.drop_copy(other)?;
                // Some room, since a window that is being resized asks again and again.
                self.make_copy(needed + needed / 4)?
            }
        };
        let image = Image {
            pages,
            width,
            height,
            own,
        };
        self.images.insert(window, image);
        Ok(())
    }

    /// Unmaps the guest's pages. Our copy stays for the image that may follow at once.
    pub(super) fn release(&mut self, window: WindowId) -> Result<(), DisplayError> {
        if let Some(image) = self.images.remove(&window) {
            let old = self.spare.replace(image.own);
            self.drop_copy(old)?;
        }
        Ok(())
    }

    /// Lets go of the copy that no image took over.
    pub(super) fn drop_spare(&mut self) -> Result<(), DisplayError> {
        let spare = self.spare.take();
        self.drop_copy(spare)
    }

    fn make_copy(&self, bytes: usize) -> Result<Copied, DisplayError> {
        let memory =
            SharedMemory::create("bulkhead-surface", bytes).map_err(DisplayError::Memory)?;
        let segment = self.conn.generate_id()?;
        let fd: OwnedFd = memory
            .fd()
            .try_clone_to_owned()
            .map_err(DisplayError::Memory)?;
        self.conn.shm_attach_fd(segment, fd, true)?;
        Ok(Copied { memory, segment })
    }

    fn drop_copy(&self, copy: Option<Copied>) -> Result<(), DisplayError> {
        if let Some(copy) = copy {
            self.conn.shm_detach(copy.segment)?;
        }
        Ok(())
    }

    /// Copies a part of the guest's pages into our memory.
    pub(super) fn fetch(&mut self, window: WindowId, part: Rect) -> Result<(), DisplayError> {
        let Some(image) = self.images.get_mut(&window) else {
            return Ok(());
        };
        let stride = image.width * PIXEL;
        let (x, y) = (part.x.max(0) as usize, part.y.max(0) as usize);
        let row = part.width.max(0) as usize * PIXEL;
        let rows = (part.height.max(0) as usize).min(image.height.saturating_sub(y));
        let start = y * stride + x * PIXEL;
        if row == stride {
            // Whole rows lie next to each other.
            return image.copy(start, rows * stride);
        }
        (0..rows).try_for_each(|n| image.copy(start + n * stride, row))
    }

    /// Has the X server draw a part of an image.
    pub(super) fn put(
        &mut self,
        window: WindowId,
        image: WindowId,
        part: Rect,
        at: Point,
    ) -> Result<(), DisplayError> {
        let (Some(surface), Some(image)) = (self.surfaces.get(&window), self.images.get(&image))
        else {
            return Ok(());
        };
        self.conn.shm_put_image(
            surface.xid,
            self.context,
            image.width as u16,
            image.height as u16,
            part.x as u16,
            part.y as u16,
            part.width as u16,
            part.height as u16,
            at.x as i16,
            at.y as i16,
            self.depth,
            u8::from(ImageFormat::Z_PIXMAP),
            false,
            image.own.segment,
            0,
        )?;
        self.drawn = true;
        Ok(())
    }

    /// Asks to be told when everything drawn so far is on the screen: a property of a
    /// window of our own changes, and the server does and reports things in order.
    pub(super) fn await_drawing(&mut self) -> Result<(), DisplayError> {
        if std::mem::take(&mut self.drawn) {
            self.busy = true;
            let (name, text) = (self.atoms._NET_WM_NAME, self.atoms.UTF8_STRING);
            self.conn
                .change_property8(PropMode::REPLACE, self.marker, name, text, b"")?;
        }
        Ok(())
    }
}

impl Image {
    /// Copies bytes at the same place in both memories, opaque.
    fn copy(&mut self, at: usize, length: usize) -> Result<(), DisplayError> {
        let copied = self.pages.read_opaque(at, length, &mut self.own.memory);
        copied.map_err(DisplayError::Pages)
    }
}
