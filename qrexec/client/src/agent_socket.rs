// SPDX-License-Identifier: GPL-3.0-or-later
//! Asking the guest's agent for a call, whatever version it speaks.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use qrexec_protocol::agent_socket::{BUSY, Connection, TRIGGERS};
use qrexec_protocol::limits::HEADER_LEN;
use qrexec_protocol::trigger::{CannotConvert, UntrustedTrigger};
use qrexec_protocol::version::Version;
use thiserror::Error;

/// What the agent says to a request.
#[derive(Debug)]
pub enum Answer {
    /// Allowed. The stream's end will tell that the other side is not likely to come any more, and a word before
    /// it that the call has to end.
    Allowed(UnixStream, Connection),
    /// Too much is under way.
    Busy,
    /// Refused.
    Refused,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("cannot reach the qrexec agent at {}", .path.display())]
    Unreachable {
        /// The agent's socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The conversation failed.
    #[error("cannot talk with the qrexec agent")]
    Socket(#[source] io::Error),
    /// What it said is no answer.
    #[error("the qrexec agent's answer is malformed")]
    Malformed,
    /// It does not know the request.
    #[error(
        "the qrexec agent knows no request of version 4, which this program makes, and no older one could \
         be made that it knows"
    )]
    Unknown(#[source] Option<CannotConvert>),
}

/// Asks in the words of each version until the agent knows them.
pub fn ask(path: &Path, trigger: &UntrustedTrigger) -> Result<Answer, AskError> {
    // Agents hang up on such a request as on one that they do not know.
    if trigger.is_too_long() {
        return Ok(Answer::Refused);
    }
    let mut cannot = None;
    for version in TRIGGERS {
        let request = match trigger.encode(version) {
            Ok(request) => request,
            Err(error) => {
                cannot = Some(error);
                continue;
            }
        };
        // Version 2 had no frames here.
        let bare = if version == Version::V2 {
            HEADER_LEN
        } else {
            0
        };
        let agent = UnixStream::connect(path).map_err(|source| AskError::Unreachable {
            path: path.to_owned(),
            source,
        })?;
        match talk(agent, &request[bare..]) {
            // It hung up on what it had not read: nobody has been asked yet.
            Err(AskError::Socket(error)) if unread(&error) => {}
            Ok(Answer::Allowed(agent, connection)) => {
                // Who knows only the words of version 2 serves a dom0 that may know nothing else.
                let version = connection.version.min(version);
                return Ok(Answer::Allowed(
                    agent,
                    Connection {
                        version,
                        ..connection
                    },
                ));
            }
            result => return result,
        }
    }
    Err(AskError::Unknown(cannot))
}

fn unread(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}

fn talk(mut agent: UnixStream, request: &[u8]) -> Result<Answer, AskError> {
    agent.write_all(request).map_err(AskError::Socket)?;
    let mut bytes = [0; 12];
    let mut have = 0;
    // What follows the eight bytes of a route comes with them or not at all.
    while have < 8 {
        match agent.read(&mut bytes[have..]) {
            Ok(0) => break,
            Ok(len) => have += len,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(AskError::Socket(error)),
        }
    }
    let said = &bytes[..have];
    if have < 8 {
        return Ok(if said == BUSY {
            Answer::Busy
        } else {
            Answer::Refused
        });
    }
    let connection = Connection::decode(said).ok_or(AskError::Malformed)?;
    Ok(Answer::Allowed(agent, connection))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread::{self, JoinHandle};

    use bulkhead_types::{DomId, Port};
    use qrexec_protocol::exec::Route;
    use qrexec_protocol::frame::{Kind, UntrustedHeader};
    use qrexec_protocol::trigger::RequestId;

    use super::*;

    const ROUTE: Route = Route {
        domain: DomId::DOM0,
        port: Port(513),
    };

    /// An agent that knows the frames of one kind, and what it has read of each caller.
    fn agent_of(kind: Kind, path: &Path, callers: usize) -> JoinHandle<Vec<Vec<u8>>> {
        let listener = UnixListener::bind(path).unwrap();
        thread::spawn(move || {
            let mut heard = Vec::new();
            for _ in 0..callers {
                let (mut caller, _) = listener.accept().unwrap();
                let mut header = [0; HEADER_LEN];
                caller.read_exact(&mut header).unwrap();
                heard.push(header.to_vec());
                let UntrustedHeader { kind: number, len } = UntrustedHeader::read(header);
                if Kind::from_number(number) == Some(kind) {
                    let mut body = vec![0; len as usize];
                    caller.read_exact(&mut body).unwrap();
                    caller.write_all(&ROUTE.encode()).unwrap();
                }
            }
            heard
        })
    }

    fn trigger(source: &str, service: &str) -> UntrustedTrigger {
        UntrustedTrigger::new(source, "work", &RequestId::numbered(1), service)
    }

    fn socket() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent");
        (dir, path)
    }

    #[test]
    fn an_agent_of_version_4_is_asked_once() {
        let (_dir, path) = socket();
        let agent = agent_of(Kind::TriggerV4, &path, 1);
        let answer = ask(&path, &trigger("", "a.B")).unwrap();
        let Answer::Allowed(_, connection) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!((connection.route, connection.version), (ROUTE, Version::V4));
        assert_eq!(agent.join().unwrap().len(), 1);
    }

    #[test]
    fn an_agent_of_version_3_is_asked_in_its_words_after_it_has_hung_up_on_others() {
        let (_dir, path) = socket();
        let agent = agent_of(Kind::TriggerV3, &path, 3);
        let answer = ask(&path, &trigger("", "a.B+c")).unwrap();
        assert!(matches!(answer, Answer::Allowed(..)), "{answer:?}");
        assert_eq!(agent.join().unwrap().len(), 3);
    }

    #[test]
    fn an_agent_of_version_2_gets_the_bare_body() {
        let (_dir, path) = socket();
        let listener = UnixListener::bind(&path).unwrap();
        let agent = thread::spawn(move || {
            let (mut first, _) = listener.accept().unwrap();
            let mut request = [0; 128];
            first.read_exact(&mut request).unwrap();
            drop(first);
            let (mut caller, _) = listener.accept().unwrap();
            caller.read_exact(&mut request).unwrap();
            caller.write_all(&ROUTE.encode()).unwrap();
            request
        });
        let answer = ask(&path, &trigger("", "a.B+c")).unwrap();
        let Answer::Allowed(_, connection) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!((connection.route, connection.version), (ROUTE, Version::V2));
        let request = agent.join().unwrap();
        assert_eq!(request[..6], *b"a.B+c\0");
        assert_eq!(request[64..69], *b"work\0");
    }

    #[test]
    fn an_agent_of_ours_says_that_dom0_knows_only_version_2() {
        let (_dir, path) = socket();
        let listener = UnixListener::bind(&path).unwrap();
        let agent = thread::spawn(move || {
            let (mut caller, _) = listener.accept().unwrap();
            assert!(caller.read(&mut [0; 4096]).unwrap() > 160);
            let version = Version::V2;
            let told = Connection {
                route: ROUTE,
                version,
            };
            caller.write_all(&told.encode()).unwrap();
        });
        let answer = ask(&path, &trigger("", "a.B")).unwrap();
        let Answer::Allowed(_, connection) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(connection.version, Version::V2);
        agent.join().unwrap();
    }

    #[test]
    fn what_an_older_agent_cannot_be_told_is_said() {
        let (_dir, path) = socket();
        let agent = agent_of(Kind::TriggerV3, &path, 1);
        let error = ask(&path, &trigger("remote", "a.B")).unwrap_err();
        agent.join().unwrap();
        let told = anyhow::Error::from(error);
        insta::assert_snapshot!(
            format!("{told:#}"),
            @"the qrexec agent knows no request of version 4, which this program makes, and no older one could be made that it knows: the domain's qrexec version 3 cannot carry a source"
        );
    }

    #[test]
    fn a_refusal_is_not_asked_about_again() {
        let (_dir, path) = socket();
        let listener = UnixListener::bind(&path).unwrap();
        let agent = thread::spawn(move || {
            let (mut caller, _) = listener.accept().unwrap();
            let mut bytes = [0; 4096];
            let len = caller.read(&mut bytes).unwrap();
            drop((caller, listener));
            len
        });
        let request = trigger("", "a.B");
        let answer = ask(&path, &request).unwrap();
        assert!(matches!(answer, Answer::Refused), "{answer:?}");
        assert_eq!(
            agent.join().unwrap(),
            request.encode(Version::V4).unwrap().len()
        );
    }
}
