// SPDX-License-Identifier: GPL-3.0-or-later
//! How the programs of this crate say that something went wrong: everything that they say on standard
//! error goes through here.
//!
//! A program whose standard error leads to a full disk or to nobody has still its exit code to give: what
//! cannot be written is left out, where the standard library's macros would end the process.

use std::error::Error;
use std::fmt::{Arguments, Write as _};
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

/// No call came about, or its service could not be started, as qrexec's clients report it.
const PROBLEM: u8 = 125;
/// Refused, or ended with its permission, as qrexec's clients report it.
const REFUSED: u8 = 126;
/// Allowed, but there is no such service, as qrexec's clients report it.
pub const NO_SERVICE: u8 = 127;
/// The call broke off before its service's exit code came, as qrexec's clients report it.
const BROKEN_OFF: u8 = 255;
/// The command line asks for something that cannot be.
pub const USAGE: u8 = 2;
/// A failure before any service answered.
pub const FAILED: u8 = 1;

/// Says an error with its causes, and what to do about it where that is known.
pub fn complain(error: &dyn Error, hint: Option<&str>) {
    say(&text(error, hint));
}

fn text(error: &dyn Error, hint: Option<&str>) -> String {
    let mut said = error.to_string();
    let mut text = format!("error: {said}");
    let mut cause = error.source();
    while let Some(reason) = cause {
        let reason_text = reason.to_string();
        if reason_text != said {
            let _ = write!(text, "\ncaused by: {reason_text}");
        }
        said = reason_text;
        cause = reason.source();
    }
    if let Some(hint) = hint {
        let _ = write!(text, "\nhint: {hint}");
    }
    text
}

/// Says an error that has no other cause.
pub fn error(what: Arguments<'_>) {
    say(&format!("error: {what}"));
}

/// Whether the call itself came to nothing, as its exit code says, and not what its service did.
///
/// Why is for `qrexec-client-vm` to say, which has done so: who knows the code alone could only guess.
pub fn came_to_nothing(code: u8) -> bool {
    matches!(code, PROBLEM | REFUSED | BROKEN_OFF)
}

/// Says what there is not, since the call for it [`came_to_nothing`].
///
/// That it was refused is all that has been said where nobody sits at a terminal.
pub fn no_call(what: Arguments<'_>, code: u8) {
    let hint = match code {
        REFUSED if !io::stderr().is_terminal() => "\nhint: dom0's log says why",
        _ => "",
    };
    say(&format!("error: {what}{hint}"));
}

/// Says what is worth knowing although all went well.
pub fn note(what: Arguments<'_>) {
    say(&format!("note: {what}"));
}

/// Says how a program is called.
pub fn usage(words: &str) {
    say(&format!("usage: {words}"));
}

fn say(text: &str) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Complains and gives the exit code of an ordinary failure.
pub fn failure(error: &dyn Error) -> ExitCode {
    complain(error, None);
    ExitCode::from(FAILED)
}
