// SPDX-License-Identifier: GPL-3.0-or-later
//! Who talks to whom, and the cases with two programs.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, ensure};
use bulkhead_box::Run;
use serde::Deserialize;

use crate::guest::{Guest, OURS, THEIRS};

/// Bytes each way.
const BYTES: usize = 20_000_000;
/// Round trips of one byte.
const ROUNDS: u32 = 1000;
/// How long one conversation may take on a busy machine under emulation.
const PATIENCE: Duration = Duration::from_secs(240);

/// How long two may take to meet.
const MEETING: Duration = Duration::from_secs(150);

/// Names the file that the side in dom0 makes once it has heard the other.
const MET: &str = "VCHAN_PEER_MET";

fn met(port: u32) -> String {
    format!("/run/vchan-met.{port}")
}

/// Whose code speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// This workspace's.
    Ours,
    /// libxenvchan's.
    C,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "our",
            Self::C => "c",
        })
    }
}

/// Server and client of each pairing.
pub const ALL: [(Program, Program); 4] = [
    (Program::C, Program::C),
    (Program::Ours, Program::C),
    (Program::C, Program::Ours),
    (Program::Ours, Program::Ours),
];

/// What a server measured.
#[derive(Clone, Debug, Deserialize)]
pub struct Figures {
    /// Client to server.
    pub in_mb_s: f64,
    /// Server to client.
    pub out_mb_s: f64,
    /// One byte there and back.
    pub round_trip_us: f64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            in_mb_s,
            out_mb_s,
            round_trip_us,
        } = self;
        write!(
            f,
            " (in {in_mb_s:.1} MB/s, out {out_mb_s:.1} MB/s, round trip {round_trip_us:.0} µs)"
        )
    }
}

/// The command of one side.
fn speaker(program: Program, side: &str, peer: u32, port: u32, story: &str) -> String {
    let program = match program {
        Program::Ours => format!("{OURS} talk"),
        Program::C => THEIRS.to_owned(),
    };
    format!("exec {program} {side} {peer} {port} {story} {BYTES} {ROUNDS}")
}

impl Guest<'_> {
    /// Starts both sides. Result: the commands, server first.
    fn sides(
        &self,
        server: Program,
        client: Program,
        served_by_guest: bool,
        story: &str,
    ) -> (Run, Run) {
        let port = self.next_port();
        let here = |text: &str| Run::script(text).timeout(PATIENCE);
        if served_by_guest {
            let serve = speaker(server, "server", 0, port, story);
            let join = speaker(client, "client", self.id, port, story);
            (self.order(&serve).timeout(PATIENCE), here(&join))
        } else {
            let serve = speaker(server, "server", self.id, port, story);
            let join = speaker(client, "client", 0, port, story);
            (here(&serve), self.order(&join).timeout(PATIENCE))
        }
    }

    /// Waits until the server has announced the channel: libxenvchan's client does not.
    fn await_offer(&self, server: u32, client: u32) -> anyhow::Result<()> {
        let port = self.last_port();
        let node = format!("/local/domain/{server}/data/vchan/{client}/{port}/event-channel");
        let expected = self
            .machine
            .run(Run::new(&[OURS, "expect", &node]).timeout(PATIENCE))?;
        ensure!(expected.code == 0, "no offer: {}", expected.all());
        Ok(())
    }

    /// Has the whole conversation; both must come to its end.
    pub fn converse(
        &self,
        server: Program,
        client: Program,
        served_by_guest: bool,
    ) -> anyhow::Result<Figures> {
        let (serve, join) = self.sides(server, client, served_by_guest, "all");
        let serving = self.machine.start(serve)?;
        let (server_id, client_id) = if served_by_guest {
            (self.id, 0)
        } else {
            (0, self.id)
        };
        self.await_offer(server_id, client_id)?;
        let joined = self.machine.run(join)?;
        let served = self.machine.finish(&serving, PATIENCE)?;
        ensure!(
            served.code == 0 && joined.code == 0,
            "the server ended with {}: {}; the client with {}: {}",
            served.code,
            served.all(),
            joined.code,
            joined.all()
        );
        ensure!(
            joined.text().contains("gone"),
            "the client did not see the close: {}",
            joined.all()
        );
        serde_json::from_str(served.text().trim()).context("the server's figures")
    }

    /// Lets both meet, kills one of them, and waits for the other to notice. The one in dom0 is
    /// the server.
    pub fn kill_one(
        &self,
        server: Program,
        client: Program,
        server_dies: bool,
    ) -> anyhow::Result<&'static str> {
        let (serve, join) = self.sides(server, client, false, "linger");
        let port = self.last_port();
        let serving = self.machine.start(serve.env(MET, &met(port)))?;
        self.await_offer(0, self.id)?;
        let joining = self.machine.start(join)?;
        if let Err(error) = self.machine.await_path(&met(port), MEETING) {
            // Both have given up by now as well: their words say more.
            let served = self.machine.finish(&serving, PATIENCE)?;
            let joined = self.machine.finish(&joining, PATIENCE)?;
            anyhow::bail!(
                "{error}; the server: {}; the client: {}",
                served.all(),
                joined.all()
            );
        }
        let kill =
            |side: &str, peer: u32| format!("exec pkill -KILL -f ' {side} {peer} {port} linger'");
        let killed = if server_dies {
            self.machine.run(Run::script(&kill("[s]erver", self.id)))?
        } else {
            self.machine.run(self.order(&kill("[c]lient", 0)))?
        };
        ensure!(killed.code == 0, "nobody to kill: {}", killed.all());
        let served = self.machine.finish(&serving, PATIENCE)?;
        let joined = self.machine.finish(&joining, PATIENCE)?;
        let survivor = if server_dies { joined } else { served };
        ensure!(
            survivor.code == 0 && survivor.text().contains("gone"),
            "the survivor ended with {}: {}",
            survivor.code,
            survivor.all()
        );
        Ok("")
    }

    /// Destroys another guest, of which this one is a server and a client; both must hear of it,
    /// though no word of the other's end is ever sent.
    pub fn outlive_another(&self) -> anyhow::Result<&'static str> {
        let other = Guest::start(self.machine, "vchan-interop-2")?;
        let mut survivors = Vec::new();
        for (program, own, others) in [
            (Program::Ours, "server", "client"),
            (Program::Ours, "client", "server"),
            (Program::C, "client", "server"),
        ] {
            let port = self.next_port();
            let here = speaker(Program::Ours, own, other.id, port, "linger");
            let there = speaker(program, others, self.id, port, "linger");
            // A pipe in the guest stands for the file: who reads it waits for the meeting.
            let pipe = format!("/tmp/met.{port}");
            let made = self.machine.run(self.order(&format!("mkfifo {pipe}")))?;
            ensure!(made.code == 0, "no pipe: {}", made.all());
            let survivor = self.order(&format!("export {MET}={pipe}; {here}"));
            survivors.push((port, self.machine.start(survivor.timeout(PATIENCE))?));
            let order = other.order(&there).timeout(PATIENCE);
            let _never_ends = self.machine.start(order)?;
            let wait = self.order(&format!("cat {pipe}")).timeout(MEETING);
            let met = self.machine.run(wait)?;
            ensure!(met.code == 0, "the two did not meet: {}", met.all());
        }
        other.remove()?;
        for (port, survivor) in survivors {
            let survivor = self.machine.finish(&survivor, PATIENCE)?;
            let heard = survivor.code == 0 && survivor.text().contains("gone");
            let (code, words) = (survivor.code, survivor.all());
            ensure!(heard, "the one on port {port} ended with {code}: {words}");
        }
        Ok("")
    }

    /// Destroys the guest under a channel; our client in dom0 must hear of it.
    pub fn destroy(&self) -> anyhow::Result<&'static str> {
        let (serve, join) = self.sides(Program::Ours, Program::Ours, true, "linger");
        let port = self.last_port();
        let _serving = self.machine.start(serve)?;
        let joining = self.machine.start(join.env(MET, &met(port)))?;
        self.machine.await_path(&met(port), PATIENCE)?;
        let destroyed = self
            .machine
            .run(Run::new(&["xl", "destroy", &self.id.to_string()]))?;
        ensure!(destroyed.code == 0, "xl destroy: {}", destroyed.all());
        let joined = self.machine.finish(&joining, PATIENCE)?;
        ensure!(
            joined.code == 0 && joined.text().contains("gone"),
            "our client: {}",
            joined.all()
        );
        Ok("")
    }
}
