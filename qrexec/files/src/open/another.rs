// SPDX-License-Identifier: GPL-3.0-or-later
//! What was opened from another domain may itself ask to open something: in a new disposable, and that in
//! another one, without an end. So the person in front of it is asked.

use std::io::{self, ErrorKind};
use std::process::Command;

use thiserror::Error;

use crate::call::Target;

const SERVICES: [&str; 2] = ["qubes.OpenInVM", "qubes.OpenURL"];
const QUESTION: &str = "This is open for another domain. Open something in one more disposable?";

/// One more disposable is not made.
#[derive(Debug, Error)]
pub enum NotAnother {
    /// The person said no.
    #[error("the answer was not to open one more disposable")]
    Declined,
    /// There is no way to ask.
    #[error(
        "this is open for another domain, which could go on with disposables without an end, and there is \
         neither zenity nor kdialog to ask"
    )]
    NobodyAsked,
    /// Asking failed.
    #[error("cannot ask whether to open one more disposable")]
    Ask(#[source] io::Error),
}

/// Whether opening something in `target` has to be confirmed by a person, when `service` is the full name of the
/// service as part of which this runs.
pub fn has_to_be_confirmed(target: &Target, service: Option<&str>) -> bool {
    let name = service.map(|service| service.split('+').next().unwrap_or_default());
    target.is_disposable() && name.is_some_and(|name| SERVICES.contains(&name))
}

/// Asks.
pub fn confirm() -> Result<(), NotAnother> {
    let ways = [
        ("zenity", vec!["--question", "--text", QUESTION]),
        ("kdialog", vec!["--yesno", QUESTION]),
    ];
    for (program, words) in ways {
        match Command::new(program).args(words).status() {
            Ok(status) if status.success() => return Ok(()),
            Ok(_) => return Err(NotAnother::Declined),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(NotAnother::Ask(error)),
        }
    }
    Err(NotAnother::NobodyAsked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_open_for_another_domain_is_asked_about_and_only_for_disposables() {
        let asked = |target: &str, service| has_to_be_confirmed(&target.parse().unwrap(), service);
        assert!(asked("@dispvm", Some("qubes.OpenInVM+")));
        assert!(asked("@dispvm:base", Some("qubes.OpenURL")));
        assert!(!asked("@dispvm", None));
        assert!(!asked("@dispvm", Some("qubes.VMShell+")));
        assert!(!asked("work", Some("qubes.OpenInVM+")));
    }
}
