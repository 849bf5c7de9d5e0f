// SPDX-License-Identifier: GPL-3.0-or-later
//! What a command string asks for, with what this side has configured for it.

use qrexec_protocol::command::{Action, CommandLine};
use qrexec_protocol::sanitize::service_for_log;
use qrexec_protocol::service_config::ServiceConfig;

use crate::complaint::chain;
use crate::lookup::SearchPath;

/// A command that was read, together with its service's configuration.
#[derive(Debug)]
pub struct Order {
    pub(crate) line: CommandLine,
    pub(crate) config: ServiceConfig,
}

impl Order {
    /// Reads a command, and the configuration of its service where those are. A failure is logged.
    pub(crate) fn read(command: &[u8], configurations: &SearchPath) -> Option<Self> {
        let line = match CommandLine::parse(command) {
            Ok(line) => line,
            Err(error) => {
                tracing::warn!("cannot run a command: {error}");
                return None;
            }
        };
        let config = match &line.action {
            Action::Shell(_) => Ok(ServiceConfig::default()),
            Action::Service(call) => configurations.configuration(&call.service),
        };
        match config {
            Ok(config) => {
                let order = Self { line, config };
                for key in &order.config.unknown {
                    tracing::warn!(
                        "{}: the configuration has an unknown key `{}`",
                        order.name(),
                        key.escape_debug()
                    );
                }
                Some(order)
            }
            Err(error) => {
                tracing::warn!("cannot run a command: {}", chain(&error));
                None
            }
        }
    }

    /// Who runs it: whom the configuration names, or else whom the command names.
    pub fn user(&self) -> &str {
        self.config.force_user.as_deref().unwrap_or(&self.line.user)
    }

    /// Whether it has to wait for the user's session.
    pub fn needs_session(&self) -> bool {
        self.config.wait_for_session && !self.line.nogui
    }

    /// Whether the fork server in the user's session may run it. What needs no session does not go
    /// there, nor what depends on a configuration that a fork server does not read.
    pub fn suits_session(&self) -> bool {
        let ServiceConfig {
            skip_service_descriptor,
            exit_on_client_eof,
            exit_on_service_eof,
            ..
        } = self.config;
        !(self.line.nogui || skip_service_descriptor || exit_on_client_eof || exit_on_service_eof)
    }

    pub(crate) fn name(&self) -> String {
        match &self.line.action {
            Action::Shell(_) => "a shell command".to_owned(),
            Action::Service(call) => service_for_log(&call.service),
        }
    }
}
