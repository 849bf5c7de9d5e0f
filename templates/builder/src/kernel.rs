// SPDX-License-Identifier: GPL-3.0-or-later
//! The kernel out of its wrapping: a bzImage holds a packed ELF file, which Xen would unpack for
//! each start of a domain. Once here is cheaper.
//!
//! The offsets are those of the kernel's documentation (Documentation/arch/x86/boot.rst).

use std::path::Path;
use std::process::Command;

use crate::BuildError;
use crate::tool::output;

const ELF: &[u8] = b"\x7fELF";

/// Where the packed kernel lies in `image`, and what unpacks it; absent if it is no bzImage or
/// packed in an unknown way.
fn payload(image: &[u8]) -> Option<(&[u8], &'static str)> {
    let number = |at: usize| -> Option<usize> {
        let bytes = image.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    if image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    // Sectors of real-mode code; 0 means 4. One more is the boot sector.
    let sectors = match *image.get(0x1F1)? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (sectors + 1) * 512 + number(0x248)?;
    let packed = image.get(start..start.checked_add(number(0x24C)?)?)?;
    // All but gzip's are followed by the unpacked length.
    let bare = packed.get(..packed.len().checked_sub(4)?)?;
    match packed {
        [0x1F, 0x8B, ..] => Some((packed, "gzip")),
        [0xFD, b'7', b'z', b'X', b'Z', ..] => Some((bare, "xz")),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Some((bare, "zstd")),
        _ => None,
    }
}

/// The kernel in `image`, unpacked; as it is if that is not possible, since Xen can boot both.
/// `work` is a folder for a file on the way.
pub(crate) fn unpack(image: Vec<u8>, work: &Path) -> Result<Vec<u8>, BuildError> {
    let Some((packed, tool)) = payload(&image) else {
        return Ok(image);
    };
    let path = work.join("kernel");
    std::fs::write(&path, packed).map_err(BuildError::io("write", &path))?;
    // Given a file, they would insist on its name's ending.
    let script = "exec \"$0\" -dc <\"$1\"";
    let kernel = output(Command::new("sh").args(["-c", script, tool]).arg(&path))?;
    if kernel.starts_with(ELF) {
        return Ok(kernel);
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bzImage with one sector of code before `packed`.
    fn image(packed: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024];
        image[0x1F1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x24C..0x250].copy_from_slice(&(packed.len() as u32).to_le_bytes());
        image.extend_from_slice(packed);
        image
    }

    #[test]
    fn a_packed_kernel_is_found_and_unpacked() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("plain");
        std::fs::write(&plain, b"\x7fELF and more").unwrap();
        let mut packed = output(Command::new("xz").arg("-zc").arg(&plain)).unwrap();
        packed.extend_from_slice(&13_u32.to_le_bytes());
        let kernel = unpack(image(&packed), dir.path()).unwrap();
        assert_eq!(kernel, b"\x7fELF and more");
    }

    #[test]
    fn what_cannot_be_unpacked_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let odd = [
            b"\x7fELF".to_vec(),
            Vec::new(),
            image(b"LZO or so"),
            image(&[0xFF; 2])[..1025].to_vec(),
        ];
        for image in odd {
            assert_eq!(unpack(image.clone(), dir.path()).unwrap(), image);
        }
    }
}
