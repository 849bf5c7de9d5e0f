// SPDX-License-Identifier: GPL-3.0-or-later
//! Telling a person what went wrong.
//!
//! A program whose standard error leads to a full disk or to nobody has still its exit code to give:
//! what cannot be written is left out, where the standard library's macros would end the process.

use std::error::Error;
use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};

/// Says a line on standard error.
pub fn say(line: impl Display) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Says that something is wrong, and why.
pub fn complain(error: &dyn Error) {
    say(text(error));
}

fn text(error: &dyn Error) -> String {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(reason) = cause {
        let _ = write!(text, "\ncaused by: {reason}");
        cause = reason.source();
    }
    text
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CallFailed, ChannelError};

    #[test]
    fn each_cause_has_a_line_of_its_own() {
        let error = CallFailed(ChannelError::Closed);
        assert_eq!(
            text(&error),
            "error: the call was cut off before the service's exit code came\n\
             caused by: the other domain closed the connection"
        );
    }
}
