// SPDX-License-Identifier: GPL-3.0-or-later
//! Between the agent and the process that keeps a service's PAM session.
//!
//! That process is started with a socket as its standard input. Over it the agent sends the service's
//! streams, and is told the number of the service's process. So neither the process nor a PAM module
//! in it has a stream of the service by accident.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::unistd::dup2_stdin;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The program, which lies beside the agent.
const PROGRAM: &str = "qrexec-pam-session";
/// Where what PAM does for a service may stand; without one of these services run without a session.
const CONFIGURATIONS: [&str; 2] = ["/etc/pam.d/qrexec", "/usr/lib/pam.d/qrexec"];

/// The program to open sessions with, if this guest wants sessions and has it. What it finds is logged.
pub(crate) fn program(agent: &Path) -> Option<PathBuf> {
    let mut places = CONFIGURATIONS.iter().map(Path::new);
    let Some(configuration) = places.find(|path| path.exists()) else {
        let place = CONFIGURATIONS[0];
        tracing::info!("services run without PAM sessions: there is no {place}");
        return None;
    };
    let (configuration, program) = (configuration.display(), agent.with_file_name(PROGRAM));
    if !program.exists() {
        let program = program.display();
        tracing::warn!(
            "services run without PAM sessions: {configuration} is there, but {program} is not"
        );
        return None;
    }
    tracing::info!("services run in PAM sessions, as {configuration} says");
    Some(program)
}

/// A service's standard input, output and error.
#[derive(Debug)]
pub struct Streams {
    /// Standard input.
    pub input: OwnedFd,
    /// Standard output.
    pub output: OwnedFd,
    /// Standard error.
    pub errors: OwnedFd,
}

/// The agent's end of the line.
#[derive(Debug)]
pub(crate) struct Keeper {
    line: UnixStream,
    service: Option<u32>,
}

impl Keeper {
    /// Sends the streams to whoever has the other end.
    pub fn hand_over(line: UnixStream, streams: &Streams) -> io::Result<Self> {
        let descriptors = [&streams.input, &streams.output, &streams.errors].map(|fd| fd.as_fd());
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        sendmsg(
            &line,
            &[IoSlice::new(&[0])],
            &mut control,
            SendFlags::NOSIGNAL,
        )?;
        line.set_nonblocking(true)?;
        Ok(Self {
            line,
            service: None,
        })
    }

    /// The number of the service's process, once it has one.
    pub fn service(&mut self) -> Option<u32> {
        if self.service.is_none() {
            let mut number = [0; 4];
            // Four bytes come in one piece or not at all.
            if matches!(self.line.read(&mut number), Ok(4)) {
                self.service = Some(u32::from_le_bytes(number));
            }
        }
        self.service
    }
}

/// The end of the process that keeps the session.
#[derive(Debug)]
pub struct KeeperLine(UnixStream);

impl KeeperLine {
    /// Over the socket that is standard input; `/dev/null` takes its place there.
    pub fn on_standard_input() -> io::Result<Self> {
        let line = io::stdin().as_fd().try_clone_to_owned()?;
        dup2_stdin(std::fs::File::open("/dev/null")?)?;
        Ok(Self(line.into()))
    }

    /// Waits for the service's streams.
    pub fn take_streams(&self) -> io::Result<Streams> {
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut byte)];
        recvmsg(&self.0, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let came = control.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        let came: Vec<OwnedFd> = came.flatten().collect();
        let [input, output, errors] =
            <[OwnedFd; 3]>::try_from(came).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Streams {
            input,
            output,
            errors,
        })
    }

    /// Tells the number of the service's process.
    pub fn tell(&mut self, service: u32) -> io::Result<()> {
        self.0.write_all(&service.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_go_one_way_and_the_number_the_other() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let null = || std::fs::File::open("/dev/null").unwrap().into();
        let streams = Streams {
            input: null(),
            output: writer.into(),
            errors: null(),
        };
        let mut keeper = Keeper::hand_over(ours, &streams).unwrap();
        drop(streams);
        let mut line = KeeperLine(theirs);
        let streams = line.take_streams().unwrap();
        let mut output = std::fs::File::from(streams.output);
        output.write_all(b"text").unwrap();
        drop(output);
        assert_eq!(io::read_to_string(reader).unwrap(), "text");
        assert_eq!(keeper.service(), None);
        line.tell(70_000).unwrap();
        drop(line);
        assert_eq!(keeper.service(), Some(70_000));
        assert_eq!(keeper.service(), Some(70_000));
    }

    #[test]
    fn a_line_without_streams_gives_none() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(ours);
        assert!(KeeperLine(theirs).take_streams().is_err());
    }
}
