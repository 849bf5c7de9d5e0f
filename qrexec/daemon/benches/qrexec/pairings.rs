// SPDX-License-Identifier: GPL-3.0-or-later
//! Programs of another implementation in the places of ours: every kind of call with every
//! combination.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use qrexec_relay::{Interest, Running, wait_for_any};

use crate::cast::{Cast, PARTS, Part, has, mentions};
use crate::kinds::{Kind, kinds};
use crate::site::{Site, Wire};

/// A call that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes every kind of call with every combination that is possible, and says what differs from
/// what is expected. Returns how many calls did, other than those that also do where every program is
/// the other implementation's.
pub fn print(folder: &Path) -> usize {
    println!("\npairings with the programs in {}", folder.display());
    let kinds = kinds(folder);
    let theirs: Vec<Part> = PARTS
        .into_iter()
        .filter(|part| has(folder, part.program()))
        .collect();
    let complete = theirs.len() == PARTS.len();
    let casts: Vec<Cast> = (1..1_u32 << theirs.len())
        .rev()
        .map(|set| Cast {
            other: Some(folder.to_owned()),
            parts: chosen(&theirs, set),
        })
        .filter(|cast| possible(cast, folder))
        .collect();
    let mut wrong: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut own_habits = Vec::new();
    let mut calls = 0;
    for (n, cast) in casts.iter().enumerate() {
        let site = Site::new(cast.clone(), Wire::Socket);
        site.answer_pairs();
        for kind in &kinds {
            calls += 1;
            let Err(difference) = attempt(&site, kind) else {
                continue;
            };
            if n == 0 && complete {
                println!("  the reference alone: {}: {difference}", kind.name);
                own_habits.push(kind.name);
            } else if !own_habits.contains(&kind.name) {
                let parts = cast.parts.iter().map(|part| format!("{part:?}"));
                let parts: Vec<String> = parts.collect();
                let text = format!("{}: {difference}", parts.join(" "));
                wrong.entry(kind.name).or_default().push(text);
            }
        }
    }
    for (name, differences) in &wrong {
        println!("  {name}: {} combinations differ", differences.len());
        for difference in differences.iter().take(4) {
            println!("    theirs {difference}");
        }
    }
    let differ = wrong.values().map(Vec::len).sum();
    println!(
        "  {} combinations, {} kinds, {calls} calls: {differ} differ",
        casts.len(),
        kinds.len()
    );
    differ
}

fn chosen(parts: &[Part], set: u32) -> Vec<Part> {
    let numbered = parts.iter().enumerate();
    numbered
        .filter(|(n, _)| set >> n & 1 == 1)
        .map(|(_, part)| *part)
        .collect()
}

/// A client asks its agent in the words of its own version, and there is no greeting in which an older
/// agent could say that it does not know them. They are of one package. Those of version 2 even talk
/// without frames.
fn possible(cast: &Cast, folder: &Path) -> bool {
    let theirs = |part| cast.parts.contains(&part);
    let client = theirs(Part::GuestClient);
    let knows = |word| mentions(folder, Part::GuestClient.program(), word);
    match theirs(Part::WorkAgent) {
        true => client || knows("source-qube"),
        false => !client || knows("agent-socket"),
    }
}

/// Makes the call. An error tells what came of it instead.
fn attempt(site: &Site, kind: &Kind) -> Result<(), String> {
    let mut command = (kind.client)(site);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut running = Running::start(&mut command).map_err(|error| error.to_string())?;
    let (input, output) = running.streams();
    let bytes = kind.input.clone();
    // It may end without having read its input.
    let writer = thread::spawn(move || drop(input.map(|mut input| input.write_all(&bytes))));
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        output.map(|mut output| output.read_to_end(&mut bytes));
        bytes
    });
    let deadline = Instant::now() + PATIENCE;
    let ended = wait_for_any(&[(running.fd(), Interest::Readable)], Some(deadline));
    let in_time = ended.is_ok_and(|seen| seen[0].readable);
    if !in_time {
        running.kill();
    }
    let code = running.reap();
    writer.join().unwrap();
    let output = reader.join().unwrap();
    if !in_time {
        return Err(format!("did not end; output of {} bytes", output.len()));
    }
    if code != kind.code {
        return Err(format!("exit code {code} instead of {}", kind.code));
    }
    if output != kind.output {
        return Err(format!(
            "{} bytes of output instead of {}: {:?}",
            output.len(),
            kind.output.len(),
            String::from_utf8_lossy(&output[..output.len().min(80)])
        ));
    }
    Ok(())
}
