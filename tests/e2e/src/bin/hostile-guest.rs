// SPDX-License-Identifier: GPL-3.0-or-later
//! A guest's program that takes the place of the guest's agents and sends dom0's daemons what
//! no agent would, for the tests. It prints a line per session and `done` at the end.
#![forbid(unsafe_code)]

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bulkhead_types::{DomId, Port};
use bulkhead_vchan::{Endpoints, RingSizes, State, Vchan};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qrexec_protocol::agent_link::terminated;
use qrexec_protocol::exec::Route;
use qrexec_protocol::frame::{Kind, frame, hello};
use qrexec_protocol::version::Version;

const USAGE: &str = "usage: hostile-guest garbage PORT SESSIONS
       hostile-guest calls SESSIONS";
/// How long dom0's daemon has to come, and to hang up.
const LIMIT: Duration = Duration::from_secs(5);
/// How long dom0 has for its calls, each of which fails.
const CALLED: Duration = Duration::from_secs(120);
/// How long one attempt waits for the daemon, which pauses between its own.
const VISIT: Duration = Duration::from_millis(500);
/// How long a name may still be taken by an agent that has just been killed.
const TAKEN: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    match run() {
        Ok(()) => {
            println!("done");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("error: {error:#}\ndone");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let endpoints = Endpoints::from_environment()?;
    match words[..] {
        ["garbage", port, sessions] => {
            let port = Port(port.parse().context("PORT is a number")?);
            garbage(
                &endpoints,
                port,
                sessions.parse().context("SESSIONS is a number")?,
            )
        }
        ["calls", sessions] => calls(
            &endpoints,
            sessions.parse().context("SESSIONS is a number")?,
        ),
        _ => bail!("{USAGE}"),
    }
}

/// Serves a port in the place of its agent, and waits until dom0's daemon is there. An agent
/// that is restarted meanwhile may take the port back; then it is ended again.
fn usurp(endpoints: &Endpoints, port: Port) -> anyhow::Result<Vchan> {
    let began = Instant::now();
    loop {
        end_agents();
        let late = began.elapsed() > LIMIT;
        match endpoints.serve(DomId::DOM0, port, RingSizes::both(4096)) {
            Ok(mut vchan) => {
                if met(&mut vchan)? {
                    return Ok(vchan);
                }
                if late {
                    bail!("nobody came");
                }
            }
            Err(error) if late => return Err(error).context("cannot serve"),
            Err(_) => std::thread::sleep(TAKEN),
        }
    }
}

/// Whether dom0's daemon comes within [`VISIT`].
fn met(vchan: &mut Vchan) -> anyhow::Result<bool> {
    let deadline = Instant::now() + VISIT;
    while vchan.state() == State::Waiting {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        vchan.wait(Some(left))?;
    }
    Ok(true)
}

fn end_agents() {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let id = entry.file_name().to_str().and_then(|id| id.parse().ok());
        // The kernel cuts names after 15 characters.
        if matches!(name.trim_end(), "qrexec-agent" | "bulkhead-gui-ag")
            && let Some(id) = id
        {
            let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

fn garbage(endpoints: &Endpoints, port: Port, sessions: u32) -> anyhow::Result<()> {
    for session in 0..sessions {
        let mut vchan = match usurp(endpoints, port) {
            Ok(vchan) => vchan,
            Err(error) => {
                println!("session {session}: {error:#}");
                continue;
            }
        };
        let mut noise = Noise(u64::from(session) + 1);
        let bytes = match session % 4 {
            0 => noise.bytes(2000),
            1 => [hello(Version::OWN), noise.bytes(500)].concat(),
            // A length that no message has, and nothing behind it.
            2 => [
                hello(Version::OWN),
                vec![0x12, 2, 0, 0, 0xff, 0xff, 0xff, 0xff],
            ]
            .concat(),
            // Half a message; then the session ends by itself.
            _ => [hello(Version::OWN), vec![0x13, 2, 0]].concat(),
        };
        let deadline = Some(Instant::now() + LIMIT);
        let sent = vchan.write_all_blocking(&bytes, deadline);
        println!("session {session}: sent {:?}", sent.map(|()| bytes.len()));
        while session % 4 != 3 && vchan.state() == State::Connected {
            // What the daemon says is thrown away, or it would wait for room.
            let mut heard = [0; 1024];
            if !matches!(vchan.read(&mut heard), Ok(1..)) && !vchan.wait(Some(VISIT))? {
                // To it, the message may only be unfinished.
                println!("session {session}: hung up first");
                break;
            }
        }
    }
    Ok(())
}

/// Plays a polite agent whose data channels carry garbage.
fn calls(endpoints: &Endpoints, sessions: u32) -> anyhow::Result<()> {
    let mut vchan = usurp(endpoints, Port::QREXEC)?;
    let deadline = Some(Instant::now() + CALLED);
    vchan.write_all_blocking(&hello(Version::OWN), deadline)?;
    let mut header = [0; 8];
    let mut answered = 0;
    while answered < sessions {
        vchan.read_exact_blocking(&mut header, deadline)?;
        let word = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let mut body = vec![0; usize::try_from(word(4))?];
        vchan.read_exact_blocking(&mut body, deadline)?;
        if word(0) != Kind::ExecCmdline as u32 {
            continue;
        }
        let route =
            Route::decode(body.get(..8).context("a short order")?).map_err(anyhow::Error::msg)?;
        let mut data = endpoints.connect(route.domain, route.port, Some(LIMIT))?;
        let mut noise = Noise(u64::from(answered) + 7);
        let bytes = match answered % 4 {
            0 => noise.bytes(3000),
            1 => [hello(Version::OWN), noise.bytes(300)].concat(),
            2 => [
                hello(Version::OWN),
                vec![0x91, 1, 0, 0, 0xff, 0xff, 0xff, 0x7f],
            ]
            .concat(),
            _ => [hello(Version::OWN), frame(Kind::DataExitCode, &[b"no"])].concat(),
        };
        let sent = data.write_all_blocking(&bytes, deadline);
        drop(data);
        vchan.write_all_blocking(&terminated(route), deadline)?;
        println!("call {answered}: sent {:?}", sent.map(|()| bytes.len()));
        answered += 1;
    }
    Ok(())
}

/// Bytes that look like nothing; the same for the same start.
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count)
            .map(|_| {
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                self.0.to_le_bytes()[3]
            })
            .collect()
    }
}
