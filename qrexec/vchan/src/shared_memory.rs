// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory shared with another program on the same machine, such as the X server.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::ftruncate;

use crate::mapping::FileMapping;

/// Anonymous memory that others reach through its descriptor.
///
/// Its size is sealed: nobody can shorten it under a mapping. What the other program writes
/// is copied out before anybody looks at it, and may change at any time.
#[derive(Debug)]
pub struct SharedMemory {
    mapping: FileMapping,
    file: OwnedFd,
}

impl SharedMemory {
    /// Makes `length` bytes of zeros; `name` shows up in `/proc/PID/maps` only.
    ///
    /// Fails for a length of 0 and when the system has no memory or descriptor left.
    pub fn create(name: &str, length: usize) -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = memfd_create(name, flags)?;
        let size = i64::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
        ftruncate(&file, size)?;
        let seals = SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        let mapping = FileMapping::new(&file, length)?;
        Ok(Self { mapping, file })
    }

    /// The descriptor to hand to the other program.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The size in bytes.
    pub fn len(&self) -> usize {
        self.mapping.len()
    }

    /// Always false: there is no memory of no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies bytes out from `offset`; fails with `InvalidInput` beyond the end.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> io::Result<()> {
        let from = self
            .mapping
            .span(offset, buffer.len())
            .ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: `span` checked the bounds, and private memory cannot overlap the mapping.
        // The other program may write meanwhile: then the copy holds whatever it wrote.
        unsafe { std::ptr::copy_nonoverlapping(from, buffer.as_mut_ptr(), buffer.len()) };
        Ok(())
    }

    /// The address of bytes inside, for copies between this and other memory of the crate.
    pub(crate) fn span(&self, offset: usize, length: usize) -> Option<*mut u8> {
        self.mapping.span(offset, length)
    }

    /// Copies bytes to `offset`; fails with `InvalidInput` beyond the end.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        self.mapping.write(offset, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_holders_of_the_descriptor_see_one_memory() {
        let mut memory = SharedMemory::create("window", 8192).unwrap();
        let other = FileMapping::new(memory.fd(), 8192).unwrap();
        memory.write(4094, b"pixels").unwrap();
        let mut seen = [0; 6];
        // SAFETY: six bytes at 4094 lie within the 8192 just mapped.
        unsafe {
            std::ptr::copy_nonoverlapping(other.span(4094, 6).unwrap(), seen.as_mut_ptr(), 6)
        };
        assert_eq!(&seen, b"pixels");
        assert!(ftruncate(memory.fd(), 4096).is_err(), "its size is sealed");
    }

    #[test]
    fn no_access_reaches_beyond_the_end() {
        let mut memory = SharedMemory::create("window", 100).unwrap();
        for (offset, length) in [(100, 1), (0, 101), (usize::MAX, 2)] {
            assert!(memory.read(offset, &mut vec![0; length]).is_err());
            assert!(memory.write(offset, &vec![0; length]).is_err());
        }
        assert!(memory.read(100, &mut []).is_ok());
        assert!(SharedMemory::create("nothing", 0).is_err());
    }
}
