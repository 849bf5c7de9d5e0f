// SPDX-License-Identifier: MIT OR Apache-2.0
//! Copies from shared memory to shared memory, which nobody else may change the size of.
//!
//! Pixels are many: they go straight from where one program left them to where the next one
//! looks for them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use bulkhead_xen::gntalloc::GrantedPages;
use bulkhead_xen::gntdev::MappedGrants;

use crate::SharedMemory;
use crate::mapping::FileMapping;

/// Bytes of a pixel.
pub(crate) const PIXEL: usize = size_of::<u32>();
/// The byte of a pixel that says how opaque it is.
const OPAQUE: u32 = u32::from_le_bytes([0, 0, 0, 0xff]);
/// Pixels that a call brings are touched again at once, while the processor has them.
const RUN: usize = 256 * 1024;

/// Memory of this domain that bytes are copied into.
pub(crate) trait Target {
    /// The address of `length` bytes at `offset`; `None` when they are not all inside.
    fn place(&mut self, offset: usize, length: usize) -> Option<*mut u8>;
}

impl Target for FileMapping {
    fn place(&mut self, offset: usize, length: usize) -> Option<*mut u8> {
        self.span(offset, length)
    }
}

impl Target for GrantedPages {
    fn place(&mut self, offset: usize, length: usize) -> Option<*mut u8> {
        let end = offset.checked_add(length)?;
        (end <= self.len()).then(|| self.start().as_ptr().wrapping_add(offset))
    }
}

/// Copies bytes from memory that another program fills.
pub(crate) fn bytes(
    from: &SharedMemory,
    at: usize,
    to: &mut impl Target,
    offset: usize,
    length: usize,
) -> io::Result<()> {
    let from = from.span(at, length).ok_or(io::ErrorKind::InvalidInput)?;
    let to = to
        .place(offset, length)
        .ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: `length` bytes lie in both mappings, which are different ones. Whoever shares
    // the source may write meanwhile: then the copy holds whatever it wrote.
    unsafe { std::ptr::copy_nonoverlapping(from, to, length) };
    Ok(())
}

/// Copies pixels out of a peer's pages to the same offset, opaque.
pub(crate) fn pixels(
    from: &MappedGrants,
    to: &mut SharedMemory,
    offset: usize,
    length: usize,
) -> io::Result<()> {
    let to = to.span(offset, length).ok_or(io::ErrorKind::InvalidInput)?;
    if offset
        .checked_add(length)
        .is_none_or(|end| end > from.len())
    {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let (from, to) = (
        from.start().as_ptr().wrapping_add(offset).cast::<u32>(),
        to.cast::<u32>(),
    );
    for at in 0..length / PIXEL {
        // SAFETY: the pixel lies within the `length` bytes of both mappings; these begin at
        // page boundaries, and the caller made sure that `offset` is a multiple of 4. The
        // owner may write meanwhile: then the copy holds whatever it wrote, opaque.
        unsafe { to.add(at).write(from.add(at).read() | OPAQUE) };
    }
    Ok(())
}

/// Reads pixels of a file to the same offset of memory, opaque.
pub(crate) fn pixels_of_file(
    file: impl AsFd,
    to: &mut SharedMemory,
    offset: usize,
    length: usize,
) -> io::Result<()> {
    let end = offset + length;
    for run in (offset..end).step_by(RUN) {
        let length = RUN.min(end - run);
        let place = to.span(run, length).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: `span` checked that `length` bytes are there.
        unsafe { read_in_full(file.as_fd(), place, length, run) }?;
        let pixels = place.cast::<u32>();
        for at in 0..length / PIXEL {
            // SAFETY: as in `pixels`; only this process and a program that reads have the
            // memory.
            unsafe { pixels.add(at).write(pixels.add(at).read() | OPAQUE) };
        }
    }
    Ok(())
}

/// Reads `length` bytes at a file's position `at`.
///
/// # Safety
///
/// `length` bytes at `place` may be written.
unsafe fn read_in_full(
    file: BorrowedFd<'_>,
    place: *mut u8,
    length: usize,
    at: usize,
) -> io::Result<()> {
    let mut done = 0;
    while done < length {
        let position = libc::off_t::try_from(at + done);
        let position = position.map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the kernel writes at most `length - done` bytes behind the first `done`
        // of the caller's `length` bytes.
        let count = unsafe {
            let place = place.add(done).cast();
            libc::pread(file.as_raw_fd(), place, length - done, position)
        };
        match count {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count if count > 0 => done += count as usize,
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn pixels_of_a_file_become_opaque_and_nothing_beside_them_changes() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[0x11; 3 * RUN], 0).unwrap();
        let mut memory = SharedMemory::create("pixels", 3 * RUN).unwrap();
        pixels_of_file(&file, &mut memory, 8, 2 * RUN + 4).unwrap();
        let mut seen = vec![0; 2 * RUN + 20];
        memory.read(0, &mut seen).unwrap();
        let (before, rest) = seen.split_at(8);
        let (pixels, behind) = rest.split_at(2 * RUN + 4);
        assert!(
            pixels
                .chunks(4)
                .all(|pixel| pixel == [0x11, 0x11, 0x11, 0xff])
        );
        assert_eq!((before, behind), (&[0; 8][..], &[0; 8][..]));
    }

    #[test]
    fn a_file_that_became_short_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(100).unwrap();
        let mut memory = SharedMemory::create("pixels", 4096).unwrap();
        let error = pixels_of_file(&file, &mut memory, 0, 400).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn bytes_of_memory_reach_their_place_and_no_other() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let mut pages = FileMapping::new(&file, 8192).unwrap();
        let mut memory = SharedMemory::create("pixels", 4096).unwrap();
        memory.write(10, b"pixels").unwrap();
        bytes(&memory, 10, &mut pages, 5000, 6).unwrap();
        let mut seen = [0; 8];
        file.read_exact_at(&mut seen, 4999).unwrap();
        assert_eq!(&seen, b"\0pixels\0");
        assert!(bytes(&memory, 4090, &mut pages, 0, 7).is_err());
        assert!(bytes(&memory, 0, &mut pages, 8190, 3).is_err());
    }
}
