// SPDX-License-Identifier: GPL-3.0-or-later
//! One side of the vchan tests, and what carries out the test's orders in a guest.
//!
//! `talk server|client DOMAIN PORT all|linger BYTES ROUNDS` has the agreed conversation.
//! `expect NODE` waits until a node of xenstore is there.
//! `obey` runs in a guest what dom0 asks for through xenstore; `tell DOMAIN COMMAND` asks.
#![forbid(unsafe_code)]

mod orders;
mod talk;

use anyhow::{Context, bail};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["talk", side, domain, port, story, bytes, rounds] => talk::talk(&talk::Conversation {
            serves: match *side {
                "server" => true,
                "client" => false,
                other => bail!("`{other}` is neither server nor client"),
            },
            peer: domain.parse()?,
            port: bulkhead_types::Port(port.parse()?),
            lingers: *story == "linger",
            bytes: bytes.parse()?,
            rounds: rounds.parse()?,
        }),
        ["expect", node] => orders::expect(node),
        ["obey"] => orders::obey(),
        ["tell", domain, command] => {
            let code =
                orders::tell(domain.parse()?, command).context("the guest did not answer")?;
            std::process::exit(code)
        }
        _ => bail!("usage: vchan-peer talk … | expect NODE | obey | tell DOMAIN COMMAND"),
    }
}
