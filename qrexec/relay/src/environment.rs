// SPDX-License-Identifier: GPL-3.0-or-later
//! What a service finds in its environment.

use std::process::Command;

use qrexec_protocol::command::ServiceCall;

/// Removes the caller's own qrexec variables and sets those of this call.
///
/// What systemd gave to this process alone goes too: a service that has become ready has nothing to say about
/// the process that has started it. `QREXEC_SERVICE_PATH` stays, `QREXEC_AGENT_PID` names the process that relays, where it hears signals.
pub(crate) fn set(command: &mut Command, call: Option<&ServiceCall>, relay: Option<u32>) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("QREXEC") && text != "QREXEC_SERVICE_PATH" {
            command.env_remove(&name);
        }
    }
    for name in ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"] {
        command.env_remove(name);
    }
    if let Some(relay) = relay {
        command.env("QREXEC_AGENT_PID", relay.to_string());
    }
    let Some(call) = call else { return };
    command.env("QREXEC_SERVICE_FULL_NAME", call.service.to_string());
    command.env("QREXEC_REMOTE_DOMAIN", &call.source);
    if let Some(argument) = call.service.argument() {
        command.env("QREXEC_SERVICE_ARGUMENT", argument.as_str());
    }
    use qrexec_protocol::command::CallTarget;
    let kind = call.target.as_ref().map_or("", CallTarget::type_word);
    command.env("QREXEC_REQUESTED_TARGET_TYPE", kind);
    match &call.target {
        Some(CallTarget::Name(name)) => command.env("QREXEC_REQUESTED_TARGET", name),
        Some(CallTarget::Keyword(word)) => command.env("QREXEC_REQUESTED_TARGET_KEYWORD", word),
        None => command,
    };
}
