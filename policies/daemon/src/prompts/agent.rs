// SPDX-License-Identifier: GPL-3.0-or-later
//! Talking to the agent: one connection for each question.

use std::io;
use std::path::Path;
use std::time::Duration;

use policy_agent_protocol::{ANSWER_MAX, Answer, BadAnswer, Lasting};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long an agent may take to be told something.
const NOTICE_PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no answer of the user's.
#[derive(Debug, Error)]
pub(super) enum NoAnswer {
    /// Nobody listens.
    #[error("the rule asks the user, and nobody can be asked: no prompt runs in dom0's session")]
    NoAgent,
    /// The connection broke.
    #[error("the rule asks the user, and the prompt cannot be reached: {0}")]
    Io(#[source] io::Error),
    /// The agent said something else.
    #[error("the rule asks the user, and the prompt failed: {0}")]
    Bad(#[from] BadAnswer),
}

impl NoAnswer {
    /// Whether a program is at fault; that there is none at all is a state like others.
    pub(super) fn is_fault(&self) -> bool {
        !matches!(self, Self::NoAgent)
    }
}

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{ConnectionRefused, NotFound};
        match error.kind() {
            NotFound | ConnectionRefused => Self::NoAgent,
            _ => Self::Io(error),
        }
    }
}

/// Puts a question to the user by way of the agent. Dropping this withdraws the question.
pub(super) async fn ask(
    socket: &Path,
    request: &[u8],
    offered: &[Lasting],
) -> Result<Answer, NoAnswer> {
    let stream = deliver(socket, request).await?;
    let mut bytes = Vec::new();
    let mut limited = stream.take(ANSWER_MAX as u64 + 1);
    limited.read_to_end(&mut bytes).await?;
    Ok(Answer::decode(&bytes, offered)?)
}

/// Tells the agent something. Whether it arrives changes nothing.
pub(super) async fn notify(socket: &Path, request: &[u8]) {
    let told = async {
        let mut stream = deliver(socket, request).await?;
        // An agent may say something all the same, and should not be cut off while it reads.
        stream.read(&mut [0]).await
    };
    let _ = timeout(NOTICE_PATIENCE, told).await;
}

/// Whether an agent listens. It is asked nothing.
pub(crate) async fn is_there(socket: &Path) -> bool {
    UnixStream::connect(socket).await.is_ok()
}

async fn deliver(socket: &Path, request: &[u8]) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(request).await?;
    stream.shutdown().await?;
    Ok(stream)
}
