// SPDX-License-Identifier: GPL-3.0-or-later
//! The host's side of the channel to `box-agent`.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::wire::{Answer, Ask, Message, Request};

/// A connection to the agent; requests may be under way in several threads.
pub struct Channel {
    state: Arc<Mutex<State>>,
    writer: Mutex<UnixStream>,
    hello: Mutex<Receiver<()>>,
}

struct State {
    next: u64,
    waiting: HashMap<u64, Sender<Result<Answer, String>>>,
    closed: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The agent says why.
    Failed(String),
    /// The time is up.
    TimedOut,
    /// The channel has ended: QEMU is gone.
    Closed,
}

impl Channel {
    /// Talks over `stream`.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(State {
            next: 1,
            waiting: HashMap::new(),
            closed: false,
        }));
        let (greet, hello) = mpsc::channel();
        let reader = BufReader::new(stream.try_clone()?);
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            listen(reader, &shared, &greet);
            if let Ok(mut state) = shared.lock() {
                state.closed = true;
                // Whoever waits learns that its sender is gone.
                state.waiting.clear();
            }
        });
        Ok(Self {
            state,
            writer: Mutex::new(stream),
            hello: Mutex::new(hello),
        })
    }

    /// Waits until the agent says that it is there.
    pub fn await_hello(&self, timeout: Duration) -> Result<(), NoAnswer> {
        let hello = self.hello.lock().map_err(|_| NoAnswer::Closed)?;
        match hello.recv_timeout(timeout) {
            Ok(()) => Ok(()),
            Err(RecvTimeoutError::Timeout) => Err(NoAnswer::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Err(NoAnswer::Closed),
        }
    }

    /// Asks, and waits for the answer.
    pub fn ask(&self, ask: Ask, timeout: Duration) -> Result<Answer, NoAnswer> {
        self.post(ask)?.answer(timeout)
    }

    /// Asks; the answer can be waited for later.
    pub fn post(&self, ask: Ask) -> Result<Posted, NoAnswer> {
        let (sender, answer) = mpsc::channel();
        let id = {
            let mut state = self.state.lock().map_err(|_| NoAnswer::Closed)?;
            if state.closed {
                return Err(NoAnswer::Closed);
            }
            state.next += 1;
            let id = state.next;
            state.waiting.insert(id, sender);
            id
        };
        let mut line = serde_json::to_vec(&Request { id, ask })
            .map_err(|error| NoAnswer::Failed(error.to_string()))?;
        line.push(b'\n');
        let mut writer = self.writer.lock().map_err(|_| NoAnswer::Closed)?;
        writer.write_all(&line).map_err(|_| NoAnswer::Closed)?;
        Ok(Posted { answer })
    }
}

/// A request that is under way.
pub struct Posted {
    answer: Receiver<Result<Answer, String>>,
}

impl Posted {
    /// Waits for the answer.
    pub fn answer(&self, timeout: Duration) -> Result<Answer, NoAnswer> {
        match self.answer.recv_timeout(timeout) {
            Ok(result) => result.map_err(NoAnswer::Failed),
            Err(RecvTimeoutError::Timeout) => Err(NoAnswer::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Err(NoAnswer::Closed),
        }
    }
}

fn listen(reader: impl BufRead, state: &Mutex<State>, greet: &Sender<()>) {
    for line in reader.lines() {
        let Ok(line) = line else { return };
        let (id, result) = match serde_json::from_str(&line) {
            Ok(Message::Hello { .. }) => {
                // Nobody may be waiting for it any more.
                let _ = greet.send(());
                continue;
            }
            Ok(Message::Done { id, result }) => (id, Ok(result)),
            Ok(Message::Failed { id, reason }) => (id, Err(reason)),
            Err(_) => continue,
        };
        let waiting = state
            .lock()
            .ok()
            .and_then(|mut state| state.waiting.remove(&id));
        if let Some(waiting) = waiting {
            // Whoever asked may have given up.
            let _ = waiting.send(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;
    use crate::agent;
    use crate::wire::Bytes;

    const SOON: Duration = Duration::from_secs(20);

    fn channel() -> Channel {
        let (host, guest) = UnixStream::pair().unwrap();
        thread::spawn(move || {
            let answers = guest.try_clone().unwrap();
            agent::serve(BufReader::new(guest), answers)
        });
        let channel = Channel::new(host).unwrap();
        channel.await_hello(SOON).unwrap();
        channel
    }

    fn run(argv: &[&str], stdin: &str, timeout: u64) -> Ask {
        Ask::Run {
            argv: argv.iter().map(|&word| word.into()).collect(),
            env: vec![("HOME".into(), "/".into())],
            stdin: Bytes(stdin.into()),
            timeout,
        }
    }

    #[test]
    fn a_program_gets_its_input_and_its_output_and_exit_code_come_back() {
        let script = "cat; echo oops >&2; exit 7";
        let answer = channel()
            .ask(run(&["sh", "-c", script], "hello", 20_000), SOON)
            .unwrap();
        assert_eq!(
            answer,
            Answer::Ended {
                code: 7,
                timed_out: false,
                stdout: Bytes(b"hello".to_vec()),
                stderr: Bytes(b"oops\n".to_vec()),
            }
        );
    }

    #[test]
    fn a_program_that_takes_too_long_is_killed_with_its_children() {
        let script = "echo begun; sleep 1000 & wait";
        let answer = channel()
            .ask(run(&["sh", "-c", script], "", 300), SOON)
            .unwrap();
        let Answer::Ended {
            code,
            timed_out,
            stdout,
            ..
        } = answer
        else {
            panic!("{answer:?}")
        };
        assert_eq!(
            (code, timed_out, stdout),
            (137, true, Bytes(b"begun\n".to_vec()))
        );
    }

    #[test]
    fn a_slow_request_does_not_hold_up_a_quick_one() {
        let channel = channel();
        thread::scope(|scope| {
            let slow = scope.spawn(|| channel.ask(run(&["sh", "-c", "read x"], "", 20_000), SOON));
            let quick = channel.ask(run(&["true"], "", 20_000), SOON);
            assert!(quick.is_ok());
            assert!(slow.join().unwrap().is_ok());
        });
    }

    #[test]
    fn files_travel_in_parts_and_replace_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/file").display().to_string();
        let channel = channel();
        let put = |offset, data: &[u8]| Ask::Put {
            path: path.clone(),
            mode: 0o600,
            offset,
            data: Bytes(data.to_vec()),
        };
        for ask in [put(0, b"something longer"), put(0, b"abc"), put(3, b"def")] {
            channel.ask(ask, SOON).unwrap();
        }
        let get = |offset| Ask::Get {
            path: path.clone(),
            offset,
        };
        let data = |bytes: &[u8]| Answer::Data(Bytes(bytes.to_vec()));
        assert_eq!(channel.ask(get(2), SOON).unwrap(), data(b"cdef"));
        assert_eq!(channel.ask(get(6), SOON).unwrap(), data(b""));
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let answer = channel().ask(run(&["/no/such/program"], "", 1000), SOON);
        let Err(NoAnswer::Failed(reason)) = answer else {
            panic!("{answer:?}")
        };
        insta::assert_snapshot!(reason, @"cannot run /no/such/program: No such file or directory (os error 2)");
    }

    #[test]
    fn a_request_ends_when_the_machine_does() {
        let (host, guest) = UnixStream::pair().unwrap();
        let channel = Channel::new(host).unwrap();
        drop(guest);
        let answer = channel.ask(run(&["true"], "", 1000), SOON);
        assert!(matches!(answer, Err(NoAnswer::Closed)), "{answer:?}");
    }
}
