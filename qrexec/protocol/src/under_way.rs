// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls under way, between a qrexec daemon and the policy daemon that allowed them. Ours alone:
//! another implementation's policy daemon has no such socket, and then nothing is told.
//!
//! Both sides send lines. A qrexec daemon's first line is `source NAME`; then it says `open CALL`
//! and `done CALL`, where CALL is the number in the answer's `record=`. The policy daemon says
//! `end CALL WHY…` when a call may go on no longer. How a call ended is told in a
//! [`crate::report`], for the record.

use std::fmt;

use bulkhead_types::DomainName;
use thiserror::Error;

/// The longest line, its end included.
pub const LINE_MAX: usize = 512;

/// A line from a qrexec daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Whose daemon this is.
    Source(DomainName),
    /// A call runs.
    Open(u64),
    /// A call is over, or came to nothing.
    Done(u64),
}

/// A line from the policy daemon: this call has to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndCall {
    /// Its number.
    pub call: u64,
    /// Why.
    pub why: String,
}

/// A line that is none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the line says nothing of a call")]
pub struct BadNotice;

impl Notice {
    /// Reads a line without its end.
    pub fn parse(line: &str) -> Result<Self, BadNotice> {
        let (word, rest) = line.split_once(' ').ok_or(BadNotice)?;
        let number = |text: &str| text.parse().map_err(|_| BadNotice);
        match word {
            "source" => rest.parse().map(Self::Source).map_err(|_| BadNotice),
            "open" => number(rest).map(Self::Open),
            "done" => number(rest).map(Self::Done),
            _ => Err(BadNotice),
        }
    }
}

impl fmt::Display for Notice {
    /// The line without its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(name) => write!(f, "source {name}"),
            Self::Open(call) => write!(f, "open {call}"),
            Self::Done(call) => write!(f, "done {call}"),
        }
    }
}

impl EndCall {
    /// Reads a line without its end.
    pub fn parse(line: &str) -> Result<Self, BadNotice> {
        let rest = line.strip_prefix("end ").ok_or(BadNotice)?;
        let (call, why) = rest.split_once(' ').ok_or(BadNotice)?;
        Ok(Self {
            call: call.parse().map_err(|_| BadNotice)?,
            why: why.to_owned(),
        })
    }
}

impl fmt::Display for EndCall {
    /// The line without its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "end {} {}", self.call, one_line(&self.why))
    }
}

/// Short enough for a line, and no second one.
fn one_line(text: &str) -> String {
    let cut = text.floor_char_boundary(LINE_MAX / 2);
    text[..cut].replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn notices_are_read_as_they_were_written() {
        for notice in [
            Notice::Source("work".parse().unwrap()),
            Notice::Open(17),
            Notice::Done(17),
        ] {
            assert_eq!(Notice::parse(&notice.to_string()), Ok(notice));
        }
        let end = EndCall {
            call: 17,
            why: "the grant has ended".into(),
        };
        assert_eq!(EndCall::parse(&end.to_string()), Ok(end));
    }

    proptest! {
        #[test]
        fn no_line_makes_the_reader_fall_over(line: String) {
            let _ = (Notice::parse(&line), EndCall::parse(&line));
        }

        #[test]
        fn no_reason_makes_a_second_line(why: String) {
            let line = EndCall { call: u64::MAX, why }.to_string();
            prop_assert!(line.len() < LINE_MAX && !line.contains(['\n', '\r']));
        }
    }
}
