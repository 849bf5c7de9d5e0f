// SPDX-License-Identifier: GPL-3.0-or-later
//! Programs of another implementation in the places of ours: every kind of call with every
//! combination.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use qrexec_relay::{Interest, Running, wait_for_any};

use crate::cast::{Cast, Make, PARTS, Part, has};
use crate::kinds::{Kind, in_session, kinds};
use crate::site::{Site, Wire};

/// A call that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes every kind of call with every combination that is possible, and says what differs from
/// what is expected. Returns how many calls did. What also differs where every program is the other
/// implementation's is its own habit (or lacks something on this machine); that is said, and not counted as
/// a difference.
pub fn print(folder: &Path) -> usize {
    println!("\npairings with the programs in {}", folder.display());
    let mut kinds = kinds(folder);
    let without_session = pair(folder, &combinations(folder, &PARTS, None), &kinds);
    if !has(folder, Part::Session.program()) {
        return without_session;
    }
    println!("\nthe same where the called user has a session");
    let parts = [
        Part::PersonalDaemon,
        Part::PersonalAgent,
        Part::Client,
        Part::GuestClient,
        Part::Session,
    ];
    kinds.extend(in_session());
    without_session
        + pair(
            folder,
            &combinations(folder, &parts, Some(Part::Session)),
            &kinds,
        )
}

/// All sets of those parts that the folder has programs for, the largest first.
fn combinations(folder: &Path, parts: &[Part], session: Option<Part>) -> Vec<Cast> {
    let parts: Vec<Part> = parts
        .iter()
        .copied()
        .filter(|part| has(folder, part.program()))
        .collect();
    (1..1_u32 << parts.len())
        .rev()
        .map(|set| Cast {
            other: Some(folder.to_owned()),
            parts: chosen(&parts, set),
            session,
        })
        .filter(possible)
        .collect()
}

fn pair(folder: &Path, casts: &[Cast], kinds: &[Kind]) -> usize {
    let mut wrong: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut own_habits = Vec::new();
    let (mut right, mut excused) = (0, 0);
    let mut alone = Cast::all(Make::Other(folder.to_owned()));
    alone.session = casts.iter().find_map(|cast| cast.session);
    alone.parts.extend(alone.session);
    let complete = alone.parts.iter().all(|part| has(folder, part.program()));
    let mixed = casts
        .iter()
        .filter(|cast| cast.parts.len() < alone.parts.len());
    let mixed: Vec<&Cast> = mixed.collect();
    let before = complete.then_some(&alone);
    for (n, cast) in before.into_iter().chain(mixed.iter().copied()).enumerate() {
        let site = Site::new(cast.clone(), Wire::Socket);
        site.answer_pairs();
        for kind in kinds {
            let result = attempt(&site, kind);
            if complete && n == 0 {
                if let Err(difference) = result {
                    println!(
                        "  the other implementation alone: {}: {difference}",
                        kind.name
                    );
                    own_habits.push(kind.name);
                }
                continue;
            }
            match result {
                Ok(()) => right += 1,
                Err(_) if own_habits.contains(&kind.name) => excused += 1,
                Err(difference) => {
                    let parts = cast.parts.iter().map(|part| format!("{part:?}"));
                    let parts: Vec<String> = parts.collect();
                    let text = format!("{}: {difference}", parts.join(" "));
                    wrong.entry(kind.name).or_default().push(text);
                }
            }
        }
    }
    for (name, differences) in &wrong {
        println!("  {name}: {} combinations differ", differences.len());
        for difference in differences.iter().take(4) {
            println!("    theirs {difference}");
        }
    }
    let differ: usize = wrong.values().map(Vec::len).sum();
    println!(
        "  {} combinations, {} kinds, {} calls: {right} as they should, {excused} as the other \
         implementation alone, {differ} differ",
        mixed.len(),
        kinds.len(),
        right + excused + differ,
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

/// A daemon speaks before its client does, and a client of version 2 hears only its own number. It is of
/// one package with its daemons.
fn possible(cast: &Cast) -> bool {
    let daemons = [Part::WorkDaemon, Part::PersonalDaemon];
    !cast.speaks_only_2(Part::Client) || daemons.iter().all(|part| cast.parts.contains(part))
}

/// Makes the call. An error tells what came of it instead.
fn attempt(site: &Site, kind: &Kind) -> Result<(), String> {
    let mut command = (kind.client)(site);
    let mut errors = tempfile::tempfile().unwrap();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(errors.try_clone().unwrap()));
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
    let mut told = Vec::new();
    errors.rewind().unwrap();
    errors.read_to_end(&mut told).unwrap();
    let told = String::from_utf8_lossy(&told);
    if !told.contains(kind.errors) {
        return Err(format!("errors without `{}`: {told:?}", kind.errors));
    }
    Ok(())
}
