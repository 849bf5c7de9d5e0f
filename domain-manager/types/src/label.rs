// SPDX-License-Identifier: MIT OR Apache-2.0
//! Labels: the colour in which a domain's windows are framed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A colour, 0xRRGGBB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Color(u32);

/// A text that is not `0x` and six hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a colour; write it as 0xrrggbb")]
pub struct InvalidColor(String);

impl Color {
    /// The colour as 0x00RRGGBB.
    pub fn rgb(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:06x}", self.0)
    }
}

impl FromStr for Color {
    type Err = InvalidColor;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("0x").filter(|d| d.len() == 6);
        digits
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|d| u32::from_str_radix(d, 16).ok())
            .map(Self)
            .ok_or_else(|| InvalidColor(text.to_owned()))
    }
}

/// One of the eight labels every installation has.
///
/// Numbers and colours are those that Qubes' window managers and guests know
/// (specification of the GUI, 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Label {
    Red = 1,
    Orange,
    Yellow,
    Green,
    Gray,
    Blue,
    Purple,
    Black,
}

/// A text that names no label.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "there is no label `{0}`; labels are red, orange, yellow, green, gray, blue, purple, black"
)]
pub struct InvalidLabel(String);

impl Label {
    /// Every label, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Red,
        Self::Orange,
        Self::Yellow,
        Self::Green,
        Self::Gray,
        Self::Blue,
        Self::Purple,
        Self::Black,
    ];

    /// The label's number, 1 to 8.
    pub fn index(self) -> u8 {
        self as u8
    }

    /// The label's name, such as `blue`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Orange => "orange",
            Self::Yellow => "yellow",
            Self::Green => "green",
            Self::Gray => "gray",
            Self::Blue => "blue",
            Self::Purple => "purple",
            Self::Black => "black",
        }
    }

    /// The label's colour.
    pub fn color(self) -> Color {
        Color(match self {
            Self::Red => 0xcc0000,
            Self::Orange => 0xf57900,
            Self::Yellow => 0xedd400,
            Self::Green => 0x73d216,
            Self::Gray => 0x555555,
            Self::Blue => 0x3465a4,
            Self::Purple => 0x75507b,
            Self::Black => 0x000000,
        })
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Label {
    type Err = InvalidLabel;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|label| label.name() == text)
            .ok_or_else(|| InvalidLabel(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_numbered_from_one_and_found_by_name() {
        for (label, number) in Label::ALL.into_iter().zip(1..) {
            assert_eq!(label.index(), number);
            assert_eq!(label.name().parse(), Ok(label));
        }
        assert!("Red".parse::<Label>().is_err());
    }

    #[test]
    fn a_colour_is_read_as_it_is_written() {
        assert_eq!(Label::Green.color().to_string(), "0x73d216");
        assert_eq!("0x73d216".parse(), Ok(Label::Green.color()));
        assert!("73d216".parse::<Color>().is_err());
        assert!("0x+3d216".parse::<Color>().is_err());
    }
}
