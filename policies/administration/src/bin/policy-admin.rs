// SPDX-License-Identifier: GPL-3.0-or-later
//! The services `policy.*` of dom0, all of them: which one was called stands in the environment
//! that qrexec sets.
#![forbid(unsafe_code)]

use std::io::{self, Write as _};
use std::process::ExitCode;

use bulkhead_types::Layout;
use policy_administration::service::{Refusal, Request, serve};

fn main() -> ExitCode {
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            // Clients take all of it for the message.
            eprint!("{refusal}");
            if let Refusal::Internal(details) = &refusal {
                eprintln!("\npolicy service: {details}");
            }
            ExitCode::from(refusal.code())
        }
    }
}

fn answer() -> Result<(), Refusal> {
    let variable = |name: &str| {
        let missing = || Refusal::Internal(format!("{name} is missing: qrexec sets it"));
        std::env::var(name).map_err(|_| missing())
    };
    let call = variable("QREXEC_SERVICE_FULL_NAME")?;
    let caller = variable("QREXEC_REMOTE_DOMAIN")?;
    let root = std::env::var_os(Layout::ROOT_VARIABLE).unwrap_or_else(|| "/".into());
    // Only set where the caller named a domain.
    let target = std::env::var("QREXEC_REQUESTED_TARGET").ok();
    let request = Request::read(&call, target.as_deref(), io::stdin().lock())?;
    let answer = serve(&Layout::below(root), &caller, &request)?;
    let written = io::stdout().write_all(&answer);
    written.map_err(|error| Refusal::Internal(format!("cannot answer: {error}")))
}
