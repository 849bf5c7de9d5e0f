// SPDX-License-Identifier: GPL-3.0-or-later
//! A picture of the desktop, and reading it from the portable pixmap format.

use thiserror::Error;

/// The largest side of a picture, in pixels.
const SIDE_MAX: usize = 16384;

/// Pixels in rows from the top left, three bytes each: red, green, blue.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

/// Bytes that are not a binary portable pixmap (`P6`, 255 levels).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadPicture {
    /// The header is not `P6 WIDTH HEIGHT 255`.
    #[error("the picture does not start with the header of a portable pixmap")]
    Header,
    /// The number of pixels does not fit the header.
    #[error("the picture has {found} bytes of pixels where its header says {expected}")]
    Length {
        /// Bytes that the header calls for.
        expected: usize,
        /// Bytes that are there.
        found: usize,
    },
}

impl Picture {
    /// Puts a picture together from its pixels.
    pub fn new(width: usize, height: usize, rgb: Vec<u8>) -> Result<Self, BadPicture> {
        if width > SIDE_MAX || height > SIDE_MAX {
            return Err(BadPicture::Header);
        }
        let expected = width * height * 3;
        if rgb.len() != expected {
            let found = rgb.len();
            return Err(BadPicture::Length { expected, found });
        }
        Ok(Self { width, height, rgb })
    }

    /// Reads a binary portable pixmap, as QEMU's monitor writes it.
    pub fn from_ppm(bytes: &[u8]) -> Result<Self, BadPicture> {
        let mut rest = bytes;
        let mut words = Vec::new();
        while words.len() < 4 {
            let start = rest
                .iter()
                .position(|b| !b.is_ascii_whitespace())
                .ok_or(BadPicture::Header)?;
            rest = &rest[start..];
            if rest[0] == b'#' {
                let end = rest.iter().position(|b| *b == b'\n');
                rest = &rest[end.ok_or(BadPicture::Header)?..];
                continue;
            }
            let end = rest
                .iter()
                .position(u8::is_ascii_whitespace)
                .ok_or(BadPicture::Header)?;
            words.push(std::str::from_utf8(&rest[..end]).map_err(|_| BadPicture::Header)?);
            rest = &rest[end..];
        }
        // One byte of white space separates the header from the pixels.
        let pixels = rest.get(1..).ok_or(BadPicture::Header)?;
        let number = |text: &str| text.parse::<usize>().map_err(|_| BadPicture::Header);
        match words[..] {
            ["P6", width, height, "255"] => {
                Self::new(number(width)?, number(height)?, pixels.to_vec())
            }
            _ => Err(BadPicture::Header),
        }
    }

    /// The picture as a binary portable pixmap.
    pub fn to_ppm(&self) -> Vec<u8> {
        let mut bytes = format!("P6\n{} {}\n255\n", self.width, self.height).into_bytes();
        bytes.extend_from_slice(&self.rgb);
        bytes
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The colour of a pixel as 0xRRGGBB; `None` outside the picture.
    pub fn pixel(&self, x: i64, y: i64) -> Option<u32> {
        let x = usize::try_from(x).ok().filter(|x| *x < self.width)?;
        let y = usize::try_from(y).ok().filter(|y| *y < self.height)?;
        let at = (y * self.width + x) * 3;
        let [red, green, blue] = [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]];
        Some(u32::from_be_bytes([0, red, green, blue]))
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}x{})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_read_back_as_it_was_written() {
        let picture = Picture::new(2, 1, vec![1, 2, 3, 0xcc, 0, 0]).unwrap();
        let read = Picture::from_ppm(&picture.to_ppm()).unwrap();
        assert_eq!(read, picture);
        assert_eq!(read.pixel(1, 0), Some(0xcc0000));
        assert_eq!(read.pixel(2, 0), None);
        assert_eq!(read.pixel(-1, 0), None);
    }

    #[test]
    fn a_comment_in_the_header_is_skipped_and_a_short_picture_refused() {
        assert!(Picture::from_ppm(b"P6\n# made by hand\n1 1 255\nabc").is_ok());
        assert_eq!(
            Picture::from_ppm(b"P6 1 2 255\nabc"),
            Err(BadPicture::Length {
                expected: 6,
                found: 3
            })
        );
        assert_eq!(Picture::from_ppm(b"P5 1 1 255\na"), Err(BadPicture::Header));
        assert_eq!(Picture::from_ppm(b"P6 1 1"), Err(BadPicture::Header));
    }
}
