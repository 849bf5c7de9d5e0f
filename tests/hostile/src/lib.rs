// SPDX-License-Identifier: GPL-3.0-or-later
//! Everything that reads what a hostile peer may send, as targets for fuzzing.
//!
//! A target takes any bytes and panics when something that must always hold does not. Two
//! things call them: the test of this package, which replays the seeds of `tests/fuzz/corpus`
//! and many mutations of them on every run, and the programs in `tests/fuzz`, which let
//! libFuzzer search for as long as somebody likes.
//!
//! Trusts nothing and protects nothing: a finding here is a defect elsewhere.
//!
//! Invariants: a target is deterministic, touches no file, and comes back for every input.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    reason = "a target says by a panic what does not hold"
)]

mod admin;
mod files;
mod gui;
mod policy;
mod policy_agent;
mod qrexec;
mod qrexec_calls;
mod store;

/// A target: it panics on a finding.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also the name of its folder of seeds.
pub const TARGETS: [(&str, Target); 28] = [
    ("admin_reply", admin::reply),
    ("admin_request", admin::request),
    ("files_answer", files::answer),
    ("files_copy", files::copy),
    ("files_opening", files::opening),
    ("gui_from_agent", gui::from_agent),
    ("gui_from_daemon", gui::from_daemon),
    ("policy_agent_answer", policy_agent::answer),
    ("policy_agent_request", policy_agent::request),
    ("policy_answer", policy::answer),
    ("policy_expectations", policy::expectations),
    ("policy_old_files", policy::old_files),
    ("policy_question", policy::question),
    ("policy_report", policy::report),
    ("policy_services", policy::services),
    ("policy_system", policy::system),
    ("policy_text", policy::text),
    ("qrexec_agent_from_caller", qrexec::agent_from_caller),
    ("qrexec_agent_from_daemon", qrexec::agent_from_daemon),
    ("qrexec_call", qrexec_calls::call),
    ("qrexec_command", qrexec::command),
    ("qrexec_daemon_from_agent", qrexec::daemon_from_agent),
    ("qrexec_daemon_from_client", qrexec::daemon_from_client),
    ("qrexec_data", qrexec::data),
    ("qrexec_ports", qrexec_calls::ports),
    ("qrexec_session", qrexec::session),
    ("vchan_ring", bulkhead_vchan::survive_hostile_peer),
    ("xenstore", store::wire),
];

/// Runs the target of a name.
///
/// # Panics
///
/// On a finding, and when there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = target.unwrap();
    target(data);
}

/// Cuts bytes into pieces: the first byte says how long each piece is.
fn pieces(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (size, rest) = data.split_first().unwrap_or((&0, &[]));
    rest.chunks(usize::from(*size).max(1))
}
