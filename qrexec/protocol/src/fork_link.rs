// SPDX-License-Identifier: MIT OR Apache-2.0
//! The link between a guest's agent and the fork server in a user's session.
//!
//! One connection per call. The agent sends one record and nothing more: the kind of the exec
//! message, domain and port of the data vchan and the length of what follows, as words; then the
//! command without its user, and a NUL. The fork server answers nothing. It closes the connection when
//! the call has ended.

use crate::exec::{Exec, Mode};
use crate::frame::{Kind, word};
use crate::limits::EXEC_BODY_MAX;

/// Bytes of a record before the command.
pub const HEAD_LEN: usize = 16;
/// The longest command in a record, its NUL included: what an exec message can carry.
pub const COMMAND_MAX: usize = EXEC_BODY_MAX - 8;

/// The record for a call. The user in front of the command is taken away: it has chosen the
/// fork server. `None` if the command names no user.
pub fn encode(exec: &Exec) -> Option<Vec<u8>> {
    let colon = exec.command.iter().position(|b| *b == b':')?;
    let command = &exec.command[colon + 1..];
    let len = u32::try_from(command.len() + 1).ok()?;
    let kind = exec.mode.kind() as u32;
    let mut record = kind.to_le_bytes().to_vec();
    record.extend(exec.route.encode());
    record.extend(len.to_le_bytes());
    record.extend(command);
    record.push(0);
    Some(record)
}

/// How many bytes follow this head.
pub fn command_len(head: &[u8; HEAD_LEN]) -> Result<usize, &'static str> {
    let len = word(head, 12).and_then(|len| usize::try_from(len).ok());
    match len {
        Some(len @ 1..=COMMAND_MAX) => Ok(len),
        _ => Err("the command's length is impossible"),
    }
}

/// The call of a record, for `user`.
pub fn decode(head: &[u8; HEAD_LEN], command: &[u8], user: &str) -> Result<Exec, &'static str> {
    let mode = match word(head, 0).and_then(Kind::from_number) {
        Some(Kind::ExecCmdline) => Mode::Attached,
        Some(Kind::JustExec) => Mode::Detached,
        _ => return Err("the record is of another kind"),
    };
    let mut exec = Exec::parse(mode, &[&head[4..12], command].concat())?;
    exec.command = [user.as_bytes(), b":", &exec.command].concat();
    Ok(exec)
}

#[cfg(test)]
mod tests {
    use bulkhead_types::{DomId, Port};
    use proptest::prelude::*;

    use super::*;
    use crate::exec::Route;

    fn exec(mode: Mode, command: &str) -> Exec {
        let route = Route {
            domain: DomId::new(7).unwrap(),
            port: Port(514),
        };
        let command = command.as_bytes().to_vec();
        Exec {
            mode,
            route,
            command,
        }
    }

    #[test]
    fn a_record_carries_the_call_without_its_user() {
        let record = encode(&exec(Mode::Attached, "user:QUBESRPC a+ work")).unwrap();
        assert_eq!(
            record,
            b"\0\x02\0\0\x07\0\0\0\x02\x02\0\0\x11\0\0\0QUBESRPC a+ work\0"
        );
        let head = record[..HEAD_LEN].try_into().unwrap();
        assert_eq!(command_len(&head), Ok(17));
        let read = decode(&head, &record[HEAD_LEN..], "other").unwrap();
        assert_eq!(read, exec(Mode::Attached, "other:QUBESRPC a+ work"));
        assert_eq!(encode(&exec(Mode::Attached, "no user")), None);
    }

    #[test]
    fn a_record_that_is_none_is_refused() {
        let good = encode(&exec(Mode::Detached, "u:true")).unwrap();
        let head: [u8; HEAD_LEN] = good[..HEAD_LEN].try_into().unwrap();
        for (at, value) in [(0, 0x202u32), (0, 0), (4, 0x8000)] {
            let mut bad = head;
            bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
            assert!(decode(&bad, b"true\0", "u").is_err(), "{value:#x} at {at}");
        }
        for len in [0, 65528, u32::MAX] {
            let mut bad = head;
            bad[12..].copy_from_slice(&len.to_le_bytes());
            assert!(command_len(&bad).is_err(), "{len}");
        }
        assert!(decode(&head, b"true", "u").is_err());
        assert!(decode(&head, b"tr\0e\0", "u").is_err());
    }

    proptest! {
        #[test]
        fn no_record_makes_the_reader_fall_over(head: [u8; HEAD_LEN], command: Vec<u8>) {
            let _ = command_len(&head);
            let _ = decode(&head, &command, "u");
        }
    }
}
