// SPDX-License-Identifier: GPL-3.0-or-later
//! What the receiver's error codes mean to the person who copies.

use nix::errno::Errno;

use crate::wire::Outcome;

/// Characters of a name that are shown.
const SHOWN_MAX: usize = 120;

/// A sentence part for the receiver's outcome. `name` and the code are claims.
pub(super) fn explain(outcome: Outcome, name: Option<&[u8]>, target: &str) -> String {
    let name = name
        .filter(|name| !name.is_empty())
        .map_or_else(|| "a file".into(), shown);
    let errno = match outcome {
        Outcome::Complete => return format!("{target} has everything"),
        Outcome::EndedEarly => return format!("{target} did not get everything"),
        Outcome::Failed(errno) => errno,
    };
    match errno {
        Errno::EEXIST => {
            format!("{name} exists already in {target}; remove it there and try again")
        }
        Errno::EDQUOT => format!("{name} is more than {target} accepts in one copy"),
        Errno::ENOSPC => format!("the disk of {target} is full at {name}"),
        Errno::EILSEQ => format!("{target} refuses the characters in the name {name}"),
        Errno::ENAMETOOLONG => format!("the name {name} is too long for {target}"),
        Errno::ENOLINK => format!("{name} is a link that leads out of what is copied"),
        Errno::EINVAL => format!("{target} could not make sense of the data at {name}"),
        Errno::EREMOTEIO => format!("the copy to {target} was cut off at {name}"),
        Errno::EOPNOTSUPP => {
            format!("the file system of {target} cannot hide {name} until it is complete")
        }
        Errno::UnknownErrno => format!("{target} stopped at {name} without a known reason"),
        other => format!("{target} could not take {name}: {}", other.desc()),
    }
}

/// Bytes from another domain as text that is safe to show: printable ASCII in back quotes,
/// everything else as `_`, at most 120 characters.
pub fn shown(bytes: &[u8]) -> String {
    let safe = |byte: &u8| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '_',
    };
    let text: String = bytes.iter().take(SHOWN_MAX).map(safe).collect();
    let more = if bytes.len() > SHOWN_MAX { "…" } else { "" };
    format!("`{text}{more}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_sentence_and_names_are_cleaned() {
        let say = |errno, name: &[u8]| explain(Outcome::Failed(errno), Some(name), "work");
        assert_eq!(
            say(Errno::EEXIST, b"a\x1b[2J"),
            "`a_[2J` exists already in work; remove it there and try again"
        );
        assert_eq!(
            say(Errno::ENOSPC, b""),
            "the disk of work is full at a file"
        );
        assert_eq!(
            say(Errno::EACCES, b"a"),
            "work could not take `a`: Permission denied"
        );
        assert!(say(Errno::EILSEQ, &[b'x'; 500]).len() < 200);
    }
}
