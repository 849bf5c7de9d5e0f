// SPDX-License-Identifier: GPL-3.0-or-later
//! Calls to other domains, through `qrexec-client-vm` of this guest.

use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::str::FromStr;

use bulkhead_types::DomainName;
use thiserror::Error;

/// The program that makes calls, looked up in `PATH`.
const CLIENT: &str = "qrexec-client-vm";

/// Whom a call asks for: a domain's name or a word such as `@dispvm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(String);

/// A text that is neither a domain's name nor a word for one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is neither a domain nor one of @dispvm, @dispvm:DOMAIN and @default")]
pub struct BadTarget(String);

impl Target {
    /// A new disposable made from the default template for disposables.
    pub fn disposable() -> Self {
        Self("@dispvm".into())
    }

    /// Whom policy or the user choose.
    pub fn default_domain() -> Self {
        Self("@default".into())
    }

    /// Whether the call makes a new disposable.
    pub fn is_disposable(&self) -> bool {
        self.0 == "@dispvm" || self.0.starts_with("@dispvm:")
    }

    /// The target as `qrexec-client-vm` takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Target {
    type Err = BadTarget;
    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let name = text.strip_prefix("@dispvm:").unwrap_or(text);
        let known = matches!(text, "@dispvm" | "@default") || DomainName::parse(name).is_ok();
        known
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| BadTarget(text.to_owned()))
    }
}

impl fmt::Display for Target {
    /// In words for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_str() {
            "@dispvm" => f.write_str("a disposable"),
            "@default" => f.write_str("the default domain"),
            other => match other.strip_prefix("@dispvm:") {
                Some(template) => write!(f, "a disposable of {template}"),
                None => f.write_str(other),
            },
        }
    }
}

/// A call that could not be begun.
#[derive(Debug, Error)]
#[error("cannot run {CLIENT}")]
pub struct CannotCall(#[source] io::Error);

/// A call that runs, and the two ends of its stream.
#[derive(Debug)]
pub struct Call {
    client: Child,
    /// What goes to the service.
    pub input: ChildStdin,
    /// What the service says.
    pub output: ChildStdout,
}

/// A call whose streams are taken and whose end is still to come.
#[derive(Debug)]
#[must_use = "a call that nobody waits for leaves a process behind"]
pub struct Ending(Child);

impl Call {
    /// Asks `target` for `service`. The service's complaints go to standard error.
    pub fn begin(target: &Target, service: &str) -> Result<Self, CannotCall> {
        let mut client = Command::new(CLIENT)
            .args([target.as_str(), service])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(CannotCall)?;
        match (client.stdin.take(), client.stdout.take()) {
            (Some(input), Some(output)) => Ok(Self {
                client,
                input,
                output,
            }),
            // Both were asked for as pipes above.
            _ => Err(CannotCall(io::Error::other("its pipes are missing"))),
        }
    }

    /// Separates the streams from the waiting.
    pub fn split(self) -> (ChildStdin, ChildStdout, Ending) {
        (self.input, self.output, Ending(self.client))
    }
}

impl Ending {
    /// Waits for the exit code of the call: the service's own, or 125 to 127 from qrexec.
    pub fn code(mut self) -> Result<u8, CannotCall> {
        self.0.wait().map(exit_code).map_err(CannotCall)
    }
}

/// The exit code of a process, 128 and the signal's number when a signal ended it.
pub fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(u8::MAX)
}

/// The name of the domain this runs in, for messages: its host name.
pub fn own_name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| name != "localhost")
        .and_then(|name| DomainName::parse(&name).ok())
        .map_or_else(|| "this domain".into(), |name| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_domain_or_a_word_for_one() {
        for good in ["work", "@dispvm", "@dispvm:disp-base", "@default"] {
            assert!(good.parse::<Target>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-h",
            "--help",
            "@adminvm",
            "@dispvm:",
            "a b",
            "@dispvm:-x",
        ] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }
}
