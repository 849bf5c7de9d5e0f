// SPDX-License-Identifier: GPL-3.0-or-later
//! qrexec: the state machines, each byte a step.

use bulkhead_types::DomId;
use qrexec_protocol::caller::{CallerEnd, ToCaller};
use qrexec_protocol::data::{Decoder, Piece, Stream};
use qrexec_protocol::exec::Route;
use qrexec_protocol::frame::hello;
use qrexec_protocol::ports::PortAllocator;
use qrexec_protocol::service::{ServiceEnd, Shape, ToService};
use qrexec_protocol::version::Version;

/// The code with which the service of [`call`] ends.
const CODE: i32 = 7;

/// The two ends of one call over a channel that keeps order. Whatever happens in whatever order, the
/// exit code comes last and once, nothing comes after the end of its stream, and the call ends.
pub fn call(data: &[u8]) {
    let (shape, steps) = data.split_first().unwrap_or((&0, &[]));
    let shape = match shape % 7 {
        0 => Shape::Program,
        1 => Shape::ProgramWithoutErrors,
        2 => Shape::Detached,
        3 => Shape::Failed,
        more => Shape::Socket {
            until_client_eof: more != 4,
            until_service_eof: more != 5,
        },
    };
    let mut call = Call::new(shape);
    steps.iter().for_each(|step| call.step(*step));
    call.finish();
}

struct Call {
    service: ServiceEnd,
    caller: CallerEnd,
    /// Bytes on their way, and how they are read.
    to_service: (Vec<u8>, Decoder),
    to_caller: (Vec<u8>, Decoder),
    ended: Vec<Stream>,
    exit_codes: usize,
}

impl Call {
    fn new(shape: Shape) -> Self {
        let greeting = hello(Version::OWN);
        Self {
            service: ServiceEnd::new(shape),
            caller: CallerEnd::new(),
            to_service: (greeting.clone(), Decoder::new()),
            to_caller: (greeting, Decoder::new()),
            ended: Vec::new(),
            exit_codes: 0,
        }
    }

    fn step(&mut self, step: u8) {
        match step % 10 {
            0 if self.caller.reads_input() && self.caller.sends() => {
                self.to_service.0.extend(Stream::Stdin.header(1));
                self.to_service.0.push(step);
            }
            1 => self.caller.input_ended(),
            2 => self.caller.output_broken(Stream::Stdout),
            3 => self.caller.sending_failed(),
            4 => self.output(Stream::Stdout, step),
            5 => self.output(Stream::Stderr, step),
            6 => self.service.end_output(Stream::Stdout),
            7 => self.service.end_output(Stream::Stderr),
            8 => self.service.process_ended(CODE),
            9 if step > 128 => self.service.input_broken(),
            _ => self.carry(),
        }
    }

    fn output(&mut self, stream: Stream, byte: u8) {
        if self.service.reads(stream) {
            self.to_caller.0.extend(stream.header(1));
            self.to_caller.0.push(byte);
        }
    }

    /// Takes what both ends have to say to the other.
    fn carry(&mut self) {
        while let Some(frame) = self.service.next_frame() {
            self.to_caller.0.extend(frame);
        }
        while self.caller.sends()
            && let Some(frame) = self.caller.next_frame()
        {
            self.to_service.0.extend(frame);
        }
        let bytes = std::mem::take(&mut self.to_service.0);
        let mut left = &bytes[..];
        while let Some(piece) = self.to_service.1.next(&mut left).unwrap() {
            let open = self.service.input_open();
            match self.service.from_caller(piece) {
                ToService::Write(_) | ToService::End => assert!(open),
                ToService::Nothing => {}
            }
        }
        let bytes = std::mem::take(&mut self.to_caller.0);
        let mut left = &bytes[..];
        while let Some(piece) = self.to_caller.1.next(&mut left).unwrap() {
            self.hear(piece);
        }
        assert!(!self.service.misdirected());
    }

    fn hear(&mut self, piece: Piece<'_>) {
        assert_eq!(self.exit_codes, 0, "{piece:?} after the exit code");
        match piece {
            Piece::Bytes(stream, _) => assert!(!self.ended.contains(&stream)),
            Piece::End(stream) => {
                assert!(!self.ended.contains(&stream));
                self.ended.push(stream);
            }
            Piece::ExitCode(_) => self.exit_codes += 1,
            Piece::Agreed(_) => {}
        }
        match self.caller.from_service(piece) {
            ToCaller::Write(stream, bytes) => assert!(stream != Stream::Stdin && bytes.len() == 1),
            ToCaller::End(_) | ToCaller::Nothing => {}
        }
    }

    /// The service ends in every way it can; then so does the call.
    fn finish(&mut self) {
        self.caller.input_ended();
        self.carry();
        self.service.end_output(Stream::Stdout);
        self.service.end_output(Stream::Stderr);
        self.service.process_ended(CODE);
        self.carry();
        assert_eq!(self.exit_codes, 1);
        assert_eq!(self.service.finished(), self.caller.code());
        assert!(self.service.next_frame().is_none());
    }
}

/// The ports of one daemon: each is given to one call at a time, with the parity of its peer, and comes
/// back only with the right domain.
pub fn ports(data: &[u8]) {
    let own = DomId::new(5).unwrap();
    let peers = [0, 3, 7, 9].map(|id| DomId::new(id).unwrap());
    let mut ports = PortAllocator::new(own);
    let mut taken: Vec<Route> = Vec::new();
    for step in data {
        let domain = peers[usize::from(step % 4)];
        let at = usize::from(step >> 3);
        if step & 4 == 0 {
            // As many calls at a time as there are values of a byte are always possible.
            let port = ports.allocate(domain);
            let Some(port) = port else {
                assert!(taken.len() > 255);
                continue;
            };
            assert!(PortAllocator::in_range(port));
            assert!(taken.iter().all(|route| route.port != port));
            let odd = (port.0 - 513) % 2 == 1;
            assert!(domain == DomId::DOM0 || odd == (domain > own));
            taken.push(Route { domain, port });
        } else if let Some(route) = taken.get(at).copied() {
            let wrong = Route { domain, ..route };
            if domain != route.domain {
                assert!(!ports.release(wrong));
            }
            assert!(ports.release(route) && !ports.release(route));
            taken.swap_remove(at);
        }
    }
}
