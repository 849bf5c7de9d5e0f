// SPDX-License-Identifier: GPL-3.0-or-later
//! Calls from dom0 to dom0: nothing passes between domains.

use qrexec_protocol::command::{Action, CommandLine};
use qrexec_protocol::exit;
use qrexec_protocol::sanitize::service_for_log;

use crate::lookup::Found;
use crate::process::Running;
use crate::start::Host;

impl Host {
    /// Runs a call from dom0 to dom0: the service has this process's own streams.
    pub fn run_here(&self, command: &[u8]) -> i32 {
        let line = match CommandLine::parse(command) {
            Ok(line) => line,
            Err(error) => {
                tracing::error!("cannot run the call: {error}");
                return exit::PROBLEM;
            }
        };
        let Action::Service(call) = &line.action else {
            tracing::error!("a call from dom0 to dom0 has to name a service");
            return exit::PROBLEM;
        };
        match self.services.find(&call.service) {
            Ok(Found::Program(path)) => {
                let mut command = self.program(&path, call);
                Running::start(&mut command).map_or(exit::PROBLEM, |mut process| process.reap())
            }
            Ok(Found::Nothing) => {
                let service = service_for_log(&call.service);
                tracing::error!("there is no service {service} in dom0");
                exit::NOT_FOUND
            }
            Ok(_) => {
                tracing::error!(
                    "{} is a socket; dom0 cannot call those of its own",
                    service_for_log(&call.service)
                );
                exit::PROBLEM
            }
            Err(error) => {
                tracing::error!("cannot start {}: {error}", service_for_log(&call.service));
                exit::PROBLEM
            }
        }
    }
}
