// SPDX-License-Identifier: GPL-3.0-or-later
//! Keeps the state of the domains by one watch on the domain manager's internal socket.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use bulkhead_admin::{Destination, Reply, Request};
use bulkhead_policy::System;
use bulkhead_types::escaped;
use thiserror::Error;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::prepare;
use crate::prompts::Runs;
use crate::state::Shared;

/// The longest document: 10 000 domains need about 4 MB.
const DOCUMENT_MAX: u64 = 32 << 20;
/// How long to wait before the first further attempt, and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// Why a watch ended.
#[derive(Debug, Error)]
enum WatchEnded {
    #[error("cannot talk to the domain manager")]
    Io(#[from] std::io::Error),
    #[error("the domain manager hung up")]
    HungUp,
    #[error("the domain manager refused the watch: {0}")]
    Refused(String),
    #[error("the domain manager's word on the domains cannot be read")]
    Malformed(#[source] serde_json::Error),
}

/// How long a question waits for an attempt to reach the domain manager.
const ATTEMPT: Duration = Duration::from_millis(500);

/// Between the questions and the watch: a question that comes while there is no word of the
/// domain manager has the watch try at once, so that nobody is refused because the manager
/// was away a moment ago.
#[derive(Default)]
pub(crate) struct Doorbell {
    rung: Notify,
    tried: Notify,
}

impl Doorbell {
    /// Has the watch try now, and returns when it has.
    pub(crate) async fn ring(&self) {
        let mut tried = pin!(self.tried.notified());
        tried.as_mut().enable();
        self.rung.notify_one();
        // Whatever comes of it, the question is answered then.
        let _ = timeout(ATTEMPT, tried).await;
    }
}

/// Watches for ever. While there is no word from the domain manager there is no system, and
/// with it no call.
pub(crate) async fn watch(socket: &Path, state: &Shared, bell: &Doorbell) {
    let (first, longest) = BACK_OFF;
    let mut pause = first;
    let mut told = false;
    loop {
        let mut heard = false;
        let Err(ended) = watch_once(socket, state, bell, &mut heard).await;
        let freed = prepare::lose_system(state).await;
        bell.tried.notify_waiters();
        if let Err(error) = freed {
            warn!("what decided before is not freed: {error}");
        }
        if heard || !told {
            let cause = std::error::Error::source(&ended).map(|cause| format!(": {cause}"));
            let cause = cause.unwrap_or_default();
            warn!("{ended}{cause}; every call is refused until it is back");
            told = true;
        }
        pause = if heard {
            first
        } else {
            (pause * 2).min(longest)
        };
        // Ended by the bell or by the time.
        let _ = timeout(pause, bell.rung.notified()).await;
    }
}

async fn watch_once(
    socket: &Path,
    state: &Shared,
    bell: &Doorbell,
    heard: &mut bool,
) -> Result<std::convert::Infallible, WatchEnded> {
    let stream = UnixStream::connect(socket).await?;
    let (reader, mut writer) = stream.into_split();
    let method = "internal.WatchSystemInfo".parse();
    let method = method.map_err(|_| WatchEnded::HungUp)?;
    let request = Request::from_dom0(method, Destination::dom0(), Vec::new());
    writer.write_all(&request.encode()).await?;
    writer.shutdown().await?;
    let mut reader = BufReader::new(reader);
    let mut mark = [0; 2];
    if reader.read_exact(&mut mark).await.is_err() {
        return Err(WatchEnded::HungUp);
    }
    if mark != *b"0\0" {
        return Err(refusal(mark, reader).await);
    }
    info!("the domain manager is there");
    loop {
        let line = next_line(&mut reader).await?;
        let told = prepare::aside(move || read(&line)).await?;
        let (system, runs) = told.map_err(WatchEnded::Malformed)?;
        prepare::take_system(state, system, runs).await?;
        *heard = true;
        bell.tried.notify_waiters();
    }
}

fn read(line: &[u8]) -> Result<(System, Runs), serde_json::Error> {
    Ok((serde_json::from_slice(line)?, Runs::read(line)?))
}

async fn next_line(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<Vec<u8>, WatchEnded> {
    let mut line = Vec::new();
    let mut limited = reader.take(DOCUMENT_MAX);
    limited.read_until(b'\n', &mut line).await?;
    match line.last() {
        Some(b'\n') => Ok(line),
        _ => Err(WatchEnded::HungUp),
    }
}

/// Reads the exception that came instead of a watch.
async fn refusal(mark: [u8; 2], reader: impl AsyncBufRead + Unpin) -> WatchEnded {
    let mut bytes = mark.to_vec();
    if let Err(e) = reader.take(65536).read_to_end(&mut bytes).await {
        return e.into();
    }
    WatchEnded::Refused(match Reply::decode(&bytes) {
        Ok(Reply::Exception(exception)) => escaped(&exception.message),
        Ok(Reply::Ok(_)) => "an answer that is no watch".to_owned(),
        Err(e) => e.to_string(),
    })
}
