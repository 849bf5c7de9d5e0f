// SPDX-License-Identifier: GPL-3.0-or-later
//! Our vchan against libxenvchan's own C code, between dom0 and a guest of the box.
//!
//! [`run`] starts a guest from a template with two more programs in it, `vchan-peer` (ours) and
//! `vchan-peer-c` (libxenvchan, compiled here and linked statically), and plays every pairing
//! of the two: many bytes each way, compared one by one, with throughput and round trip; a
//! close, a kill, and the destruction of the guest, each seen by the other side.
//!
//! Trusts the box. Invariant: a case that cannot be run fails.
#![forbid(unsafe_code)]

mod guest;
mod pairing;

use std::fmt;
use std::path::Path;
use std::time::Instant;

use bulkhead_box::Machine;
use guest::Guest;
use pairing::{Figures, Program};

/// How one case went.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name, such as `our_server_with_c_client`.
    pub name: String,
    /// How long it took.
    pub seconds: f32,
    /// What to tell of it: figures.
    pub note: String,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.failure.is_none() {
            "passed"
        } else {
            "FAILED"
        };
        write!(
            f,
            "box::vchan::{} {verdict} in {:.1} s{}",
            self.name, self.seconds, self.note
        )?;
        match &self.failure {
            Some(failure) => write!(f, "\n    {}", failure.trim().replace('\n', "\n    ")),
            None => Ok(()),
        }
    }
}

/// How often ours and theirs are measured against each other; odd, for a median.
const REPETITIONS: usize = 5;

/// The names of all cases, in the order in which [`run`] tells of them.
pub const CASES: &[&str] = &[
    "c_server_with_c_client",
    "c_server_with_c_client_in_the_guest",
    "our_server_with_c_client",
    "our_server_with_c_client_in_the_guest",
    "c_server_with_our_client",
    "c_server_with_our_client_in_the_guest",
    "our_server_with_our_client",
    "our_server_with_our_client_in_the_guest",
    "figures_against_libxenvchan",
    "our_server_and_c_client_when_the_server_is_killed",
    "our_server_and_c_client_when_the_client_is_killed",
    "c_server_and_our_client_when_the_server_is_killed",
    "c_server_and_our_client_when_the_client_is_killed",
    "our_server_and_our_client_when_the_server_is_killed",
    "our_server_and_our_client_when_the_client_is_killed",
    "two_guests_hear_of_each_others_destruction",
    "our_client_hears_of_a_destroyed_guest",
];

/// Runs all cases on a booted box whose Xen is ready, telling each as it ends.
///
/// `programs` is the folder with `vchan-peer`. What was made in the box is gone afterwards.
pub fn run(
    machine: &Machine,
    programs: &Path,
    report: &mut dyn FnMut(&Case),
) -> anyhow::Result<()> {
    guest::prepare(machine, programs)?;
    let guest = Guest::start(machine, "vchan-interop")?;
    play(&guest, &mut Cases { report });
    guest.remove()?;
    guest::clean(machine)
}

fn play(guest: &Guest<'_>, cases: &mut Cases<'_>) {
    for (server, client) in pairing::ALL {
        for served_by_guest in [false, true] {
            let place = if served_by_guest { "_in_the_guest" } else { "" };
            let name = format!("{server}_server_with_{client}_client{place}");
            cases.play(&name, || guest.converse(server, client, served_by_guest));
        }
    }
    cases.play("figures_against_libxenvchan", || ratios(guest));
    for (server, client) in pairing::ALL {
        // Their own code among themselves is not ours to test.
        if (server, client) == (Program::C, Program::C) {
            continue;
        }
        for victim in ["server", "client"] {
            let name = format!("{server}_server_and_{client}_client_when_the_{victim}_is_killed");
            cases.play(&name, || guest.kill_one(server, client, victim == "server"));
        }
    }
    cases.play("two_guests_hear_of_each_others_destruction", || {
        guest.outlive_another()
    });
    cases.play("our_client_hears_of_a_destroyed_guest", || guest.destroy());
}

struct Cases<'a> {
    report: &'a mut dyn FnMut(&Case),
}

impl Cases<'_> {
    fn play<T: fmt::Display>(
        &mut self,
        name: &str,
        case: impl FnOnce() -> anyhow::Result<T>,
    ) -> Option<T> {
        let begun = Instant::now();
        let result = case();
        let note = result
            .as_ref()
            .map(|value| value.to_string())
            .unwrap_or_default();
        let failure = result.as_ref().err().map(|error| format!("{error:#}"));
        let case = Case {
            name: name.to_owned(),
            seconds: begun.elapsed().as_secs_f32(),
            note,
            failure,
        };
        (self.report)(&case);
        result.ok()
    }
}

/// Ours against theirs in the same places, by turns: what else the machine does meets both, and
/// the medians leave out where it met one alone.
fn ratios(guest: &Guest<'_>) -> anyhow::Result<String> {
    let mut text = String::new();
    for (served_by_guest, place) in [(false, "served by dom0"), (true, "served by the guest")] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..REPETITIONS {
            theirs.push(guest.converse(Program::C, Program::C, served_by_guest)?);
            ours.push(guest.converse(Program::Ours, Program::Ours, served_by_guest)?);
        }
        let ratio = |figure: fn(&Figures) -> f64| median(&ours, figure) / median(&theirs, figure);
        text += &format!(
            "\n    {place}: ours / libxenvchan: in {:.2}, out {:.2}, round trip {:.2} ({:.0} / {:.0} µs)",
            ratio(|figures| figures.in_mb_s),
            ratio(|figures| figures.out_mb_s),
            ratio(|figures| figures.round_trip_us),
            median(&ours, |figures| figures.round_trip_us),
            median(&theirs, |figures| figures.round_trip_us),
        );
    }
    Ok(text)
}

fn median(figures: &[Figures], figure: fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = figures.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
