// SPDX-License-Identifier: GPL-3.0-or-later
//! The control socket: grants, quotas, and decisions as they are made.

use std::io;
use std::time::Duration;

use nix::unistd::{Uid, User};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::spawn_local;
use tokio::time::timeout;
use tracing::warn;

use crate::clock::Moment;
use crate::control::{Answer, REQUEST_MAX, Request};
use crate::reload::Again;
use crate::socket::accept;
use crate::state::Shared;

/// How long an administrator's program may take for its request.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes requests for ever.
pub(crate) async fn administer(listener: UnixListener, state: Shared, again: Again) {
    loop {
        let stream = accept(&listener).await;
        let (state, again) = (state.clone(), again.clone());
        spawn_local(async move {
            if let Err(error) = serve_one(stream, &state, &again).await {
                warn!("a request of an administrator failed: {error}");
            }
        });
    }
}

async fn serve_one(stream: UnixStream, state: &Shared, again: &Again) -> io::Result<()> {
    let by = who(&stream);
    let (reader, mut writer) = stream.into_split();
    let mut line = Vec::new();
    let mut reader = BufReader::new(reader).take(REQUEST_MAX as u64);
    timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await??;
    let answer = match serde_json::from_slice(&line) {
        Ok(Request::Trace) => return trace(reader.into_inner(), writer, state).await,
        Ok(Request::Reload) => {
            again.read().await;
            Answer::Done
        }
        Ok(request) => state.borrow_mut().administer(request, &by, Moment::now()),
        Err(error) => Answer::Refused {
            message: format!("the request makes no sense: {error}"),
        },
    };
    let mut bytes = serde_json::to_vec(&answer)?;
    bytes.push(b'\n');
    writer.write_all(&bytes).await
}

/// Tells of each record until the listener hangs up.
async fn trace(
    mut reader: impl tokio::io::AsyncRead + Unpin,
    mut writer: impl tokio::io::AsyncWrite + Unpin,
    state: &Shared,
) -> io::Result<()> {
    let mut records = state.borrow_mut().book().listen();
    let mut ready = serde_json::to_vec(&Answer::Done)?;
    ready.push(b'\n');
    writer.write_all(&ready).await?;
    let mut rest = [0; 16];
    loop {
        let line = tokio::select! {
            _ = reader.read(&mut rest) => return Ok(()),
            record = records.recv() => match record {
                Ok(entry) => serde_json::to_vec(&*entry)?,
                Err(RecvError::Lagged(missed)) => {
                    format!("{{\"missed\":{missed}}}").into_bytes()
                }
                Err(RecvError::Closed) => return Ok(()),
            },
        };
        writer.write_all(&line).await?;
        writer.write_all(b"\n").await?;
    }
}

/// The user on the other side, as the ledger names it.
fn who(stream: &UnixStream) -> String {
    let Ok(credentials) = stream.peer_cred() else {
        return "unknown".to_owned();
    };
    let uid = credentials.uid();
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name,
        _ => format!("uid {uid}"),
    }
}
