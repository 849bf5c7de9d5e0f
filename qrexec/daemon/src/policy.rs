// SPDX-License-Identifier: GPL-3.0-or-later
//! Asking whether a call may be made.

use std::io::{self, Read, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use qrexec_protocol::limits::POLICY_ANSWER_MAX;
use qrexec_protocol::policy::{Answer, BadAnswer, Question};
use thiserror::Error;

use crate::Options;

/// Nobody could say whether the call may be made; so it may not.
#[derive(Debug, Error)]
pub(crate) enum NoAnswer {
    /// The policy daemon cannot be reached.
    #[error("the policy daemon does not answer")]
    Absent(#[source] io::Error),
    /// It said something that is no answer.
    #[error("the policy daemon gave no usable answer")]
    Bad(#[source] BadAnswer),
    /// The configured policy program failed.
    #[error("the policy program failed")]
    Program(#[source] io::Error),
}

/// Asks the policy daemon, or the policy program if one is configured and the daemon has no answer.
pub(crate) fn ask(question: &Question, options: &Options) -> Result<Answer, NoAnswer> {
    let from_daemon = ask_daemon(question, &options.layout.policy_socket());
    match (from_daemon, &options.policy_program) {
        (Err(error), Some(program)) => {
            tracing::debug!("asking the policy program: {error}");
            ask_program(question, program)
        }
        (result, _) => result,
    }
}

fn ask_daemon(question: &Question, socket: &Path) -> Result<Answer, NoAnswer> {
    let talk = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.write_all(&question.encode())?;
        read_answer(stream)
    };
    let bytes = talk().map_err(NoAnswer::Absent)?;
    Answer::decode(&bytes).map_err(NoAnswer::Bad)
}

fn ask_program(question: &Question, program: &Path) -> Result<Answer, NoAnswer> {
    let Question {
        source,
        intended_target,
        service_and_arg,
        ..
    } = question;
    let talk = || {
        let mut child = Command::new(program)
            .args(["--", source, intended_target, service_and_arg])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let bytes = child.stdout.take().map_or(Ok(Vec::new()), read_answer);
        let status = child.wait()?;
        Ok((bytes?, status))
    };
    let (bytes, status) = talk().map_err(NoAnswer::Program)?;
    match Answer::decode(&bytes).map_err(NoAnswer::Bad)? {
        Answer::Allow(_) if !status.success() => Err(NoAnswer::Program(io::Error::other(format!(
            "it said allow, but ended with {status}"
        )))),
        answer => Ok(answer),
    }
}

fn read_answer(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(POLICY_ANSWER_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
