// SPDX-License-Identifier: GPL-3.0-or-later
//! The 256 bytes in front of the file: its name, and whether it may be changed.

use thiserror::Error;

/// Bytes of the field; a NUL is among them.
pub const FIELD_LENGTH: usize = 256;
const VIEW_ONLY: &[u8] = b"view-only-";

/// What a caller wants opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    name: String,
    /// Whether the caller throws changes away.
    pub view_only: bool,
}

/// A field that names no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadField {
    /// No NUL ends the name.
    #[error("the file's name is too long")]
    TooLong,
    /// The name is empty, `.` or `..`, or holds a slash.
    #[error("the field does not hold the name of a file")]
    NotAName,
}

impl Request {
    /// A request for the file called `name`, in the caller's own words.
    pub fn new(name: &[u8], view_only: bool) -> Result<Self, BadField> {
        if name.contains(&b'/') || matches!(name, b"" | b"." | b"..") {
            return Err(BadField::NotAName);
        }
        let plain = |byte: &u8| match byte {
            b'.' | b'_' | b'+' | b'@' | b'-' => char::from(*byte),
            b if b.is_ascii_alphanumeric() => char::from(*b),
            _ => '_',
        };
        let name: String = name.iter().map(plain).collect();
        let request = Self { name, view_only };
        if request.text().len() < FIELD_LENGTH {
            Ok(request)
        } else {
            Err(BadField::TooLong)
        }
    }

    /// The same for a name of any length. Of one that does not fit, the end is kept, for the sake of what tells
    /// its kind.
    pub fn of_file(name: &[u8], view_only: bool) -> Result<Self, BadField> {
        let prefix = if view_only { VIEW_ONLY.len() } else { 0 };
        let room = FIELD_LENGTH - 1 - prefix;
        Self::new(&name[name.len().saturating_sub(room)..], view_only)
    }

    /// The name, holding letters, digits and `. _ + @ -` only.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn text(&self) -> Vec<u8> {
        let prefix = if self.view_only { VIEW_ONLY } else { b"" };
        [prefix, self.name.as_bytes()].concat()
    }

    /// The field, its unused bytes zero.
    pub fn encode(&self) -> [u8; FIELD_LENGTH] {
        let text = self.text();
        let mut field = [0; FIELD_LENGTH];
        field[..text.len()].copy_from_slice(&text);
        field
    }

    /// Reads a field. What stands behind the first NUL is ignored.
    pub fn decode(field: &[u8; FIELD_LENGTH]) -> Result<Self, BadField> {
        let end = field
            .iter()
            .position(|b| *b == 0)
            .ok_or(BadField::TooLong)?;
        let text = &field[..end];
        match text.strip_prefix(VIEW_ONLY) {
            Some(name) => Self::new(name, true),
            None => Self::new(text, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unused_bytes_of_the_field_are_zero() {
        let field = Request::new(b"invoice.pdf", true).unwrap().encode();
        assert_eq!(&field[..21], b"view-only-invoice.pdf");
        assert!(field[21..].iter().all(|b| *b == 0));
    }

    #[test]
    fn a_field_names_a_file_and_never_a_path() {
        let decode = |text: &[u8]| {
            let mut field = [0; FIELD_LENGTH];
            field[..text.len()].copy_from_slice(text);
            Request::decode(&field)
        };
        for bad in [
            b"".as_slice(),
            b"../a",
            b"/etc/passwd",
            b"..",
            b"view-only-",
            b"view-only-..",
        ] {
            assert_eq!(decode(bad), Err(BadField::NotAName), "{bad:?}");
        }
        assert_eq!(decode(&[b'a'; FIELD_LENGTH]), Err(BadField::TooLong));
        assert_eq!(decode(b"a b\n$(id).pdf").unwrap().name(), "a_b___id_.pdf");
        assert_eq!(Request::new(&[b'a'; 246], true), Err(BadField::TooLong));
    }

    #[test]
    fn a_name_that_does_not_fit_keeps_its_ending() {
        let long = [vec![b'a'; 300], b".pdf".to_vec()].concat();
        for (view_only, length) in [(false, 255), (true, 245)] {
            let request = Request::of_file(&long, view_only).unwrap();
            assert_eq!(request.name().len(), length);
            assert!(request.name().ends_with("a.pdf"));
            assert_eq!(Request::decode(&request.encode()), Ok(request));
        }
        assert_eq!(Request::of_file(b"a.pdf", true).unwrap().name(), "a.pdf");
        assert_eq!(Request::of_file(b"..", true), Err(BadField::NotAName));
    }

    proptest! {
        #[test]
        fn any_field_is_judged_and_gives_a_tame_name(bytes in prop::collection::vec(any::<u8>(), FIELD_LENGTH)) {
            let field: [u8; FIELD_LENGTH] = bytes.try_into().unwrap();
            if let Ok(request) = Request::decode(&field) {
                let tame = |c: char| c.is_ascii_alphanumeric() || "._+@-".contains(c);
                prop_assert!(request.name().chars().all(tame));
                prop_assert_eq!(Request::decode(&request.encode()).unwrap(), request);
            }
        }
    }
}
