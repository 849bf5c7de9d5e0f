// SPDX-License-Identifier: GPL-3.0-or-later
//! Stands in for a guest's qrexec agent: takes one client after the other.

use std::process::ExitCode;

use bulkhead_types::{DomId, Port};
use bulkhead_vchan::{Endpoints, RingSizes, State};

pub fn serve() -> ExitCode {
    match try_to_serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn try_to_serve() -> Result<(), Box<dyn std::error::Error>> {
    let endpoints = Endpoints::from_environment()?;
    loop {
        let mut channel = endpoints.serve(DomId::DOM0, Port::QREXEC, RingSizes::both(4096))?;
        println!("the agent waits");
        while channel.state() != State::Closed {
            channel.wait(None)?;
        }
    }
}
