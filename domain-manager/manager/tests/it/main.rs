// SPDX-License-Identifier: GPL-3.0-or-later
//! A whole `bulkheadd` process on a machine made of files.
//!
//! The manager is this very test binary, started again as a process of its own with a
//! [`fake::FakeMachine`] instead of a hypervisor and a pool, so that it can be killed at any
//! instant while its guests and volumes, which are files, stay. The qrexec daemons are
//! processes as well: again this binary.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected fails")]

mod crashes;
mod fake;
mod fixture;
mod refusals;
mod stories;

/// The process that a [`fixture::Fixture`] starts; no test.
#[test]
#[ignore = "2026-11-23: not a test but the manager's process, which tests start"]
fn manager_process() {
    fixture::serve();
}

/// The program that the manager starts as a domain's qrexec daemon; no test.
#[test]
#[ignore = "2026-11-23: not a test but a qrexec daemon's process, which the manager starts"]
fn qrexec_daemon_process() {
    fake::qrexec_daemon();
}
