// SPDX-License-Identifier: GPL-3.0-or-later
//! The conversation, word for word as in `peer/vchan-peer.c`.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bulkhead_types::{DomId, Port};
use bulkhead_vchan::{Endpoints, RingSizes, State, StreamError, Vchan};

/// How long any one step may take under emulation.
const PATIENCE: Duration = Duration::from_secs(120);

/// What to talk about, and with whom.
pub struct Conversation {
    pub serves: bool,
    pub peer: DomId,
    pub port: Port,
    /// Only meet, and wait for the other side's end.
    pub lingers: bool,
    pub bytes: usize,
    pub rounds: u32,
}

pub fn talk(what: &Conversation) -> anyhow::Result<()> {
    let endpoints = Endpoints::from_environment()?;
    let mut channel = if what.serves {
        endpoints.serve(what.peer, what.port, RingSizes::both(65536))?
    } else {
        endpoints.connect(what.peer, what.port, Some(PATIENCE))?
    };
    // A byte each way, so that both sides are there and have been woken once.
    say_byte(&mut channel)?;
    hear_byte(&mut channel)?;
    if what.lingers {
        if let Some(file) = std::env::var_os("VCHAN_PEER_MET") {
            std::fs::write(file, "")?;
        }
        return await_end(&mut channel);
    }
    if what.serves {
        let begun = Instant::now();
        hear(&mut channel, what.bytes, 1)?;
        let heard = begun.elapsed();
        say_byte(&mut channel)?;
        let begun = Instant::now();
        say(&mut channel, what.bytes, 2)?;
        hear_byte(&mut channel)?;
        let said = begun.elapsed();
        let begun = Instant::now();
        for _ in 0..what.rounds {
            say_byte(&mut channel)?;
            hear_byte(&mut channel)?;
        }
        let round = begun.elapsed().as_secs_f64() / f64::from(what.rounds.max(1)) * 1e6;
        let speed = |time: Duration| what.bytes as f64 / time.as_secs_f64() / 1e6;
        let (heard, said) = (speed(heard), speed(said));
        print(&format!(
            "{{\"in_mb_s\":{heard:.3},\"out_mb_s\":{said:.3},\"round_trip_us\":{round:.1}}}"
        ))
    } else {
        say(&mut channel, what.bytes, 1)?;
        hear_byte(&mut channel)?;
        hear(&mut channel, what.bytes, 2)?;
        say_byte(&mut channel)?;
        for _ in 0..what.rounds {
            hear_byte(&mut channel)?;
            say_byte(&mut channel)?;
        }
        await_end(&mut channel)
    }
}

fn print(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn deadline() -> Option<Instant> {
    Instant::now().checked_add(PATIENCE)
}

/// Without a limit, like the C side's: reading the clock would be part of the round trip. Whoever
/// started this program ends it when it takes too long.
fn say_byte(channel: &mut Vchan) -> anyhow::Result<()> {
    channel
        .write_all_blocking(b"h", None)
        .context("saying a byte")
}

fn hear_byte(channel: &mut Vchan) -> anyhow::Result<()> {
    channel
        .read_exact_blocking(&mut [0], None)
        .context("hearing a byte")
}

/// The byte at a place of the stream that `speaker` sends.
fn pattern(at: usize, speaker: u64) -> u8 {
    ((at as u64)
        .wrapping_add(speaker)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        >> 56) as u8
}

fn say(channel: &mut Vchan, bytes: usize, speaker: u64) -> anyhow::Result<()> {
    let mut block = vec![0; 1 << 16];
    let mut sent = 0;
    while sent < bytes {
        let count = block.len().min(bytes - sent);
        for (i, byte) in block[..count].iter_mut().enumerate() {
            *byte = pattern(sent + i, speaker);
        }
        channel
            .write_all_blocking(&block[..count], deadline())
            .context("saying")?;
        sent += count;
    }
    Ok(())
}

fn hear(channel: &mut Vchan, bytes: usize, speaker: u64) -> anyhow::Result<()> {
    let mut block = vec![0; 1 << 16];
    let mut got = 0;
    while got < bytes {
        let wanted = block.len().min(bytes - got);
        let count = channel.read(&mut block[..wanted]).context("hearing")?;
        for (i, byte) in block[..count].iter().enumerate() {
            ensure!(
                *byte == pattern(got + i, speaker),
                "byte {} differs",
                got + i
            );
        }
        got += count;
        if count == 0 {
            ensure!(
                channel.wait(Some(PATIENCE))?,
                "the other side fell silent at byte {got}"
            );
        }
    }
    Ok(())
}

/// Waits until the other side is gone, without a further byte from it.
fn await_end(channel: &mut Vchan) -> anyhow::Result<()> {
    loop {
        match channel.read(&mut [0]) {
            Err(StreamError::Closed) => break,
            Ok(0) => ensure!(channel.wait(Some(PATIENCE))?, "the other side does not end"),
            Ok(_) => anyhow::bail!("more bytes than agreed"),
            Err(error) => return Err(error.into()),
        }
    }
    ensure!(channel.state() == State::Closed, "the end is not a state");
    print("gone")
}
