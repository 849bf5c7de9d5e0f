// SPDX-License-Identifier: GPL-3.0-or-later
//! The socket on which qrexec daemons tell of calls under way, and are told which have to end.

use std::io;

use qrexec_protocol::under_way::{LINE_MAX, Notice};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tracing::warn;

use crate::clock::Moment;
use crate::socket::accept;
use crate::state::Shared;

/// Takes reporters for ever.
pub(crate) async fn hear_tellers(listener: UnixListener, state: Shared) {
    let mut number = 0;
    loop {
        let stream = accept(&listener).await;
        number += 1;
        let state = state.clone();
        spawn_local(async move {
            if let Err(error) = listen(stream, number, &state).await {
                warn!("a teller of calls is not heard any longer: {error}");
            }
            state.borrow_mut().reporter_gone(number, Moment::now());
        });
    }
}

async fn listen(stream: UnixStream, number: u64, state: &Shared) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let Some(Notice::Source(source)) = next(&mut reader).await? else {
        return Err(io::Error::other("it does not say whose calls it reports"));
    };
    let (sender, mut orders) = mpsc::unbounded_channel();
    state.borrow_mut().reporter_came(number, &source, sender);
    let orders = async {
        while let Some(order) = orders.recv().await {
            writer.write_all(format!("{order}\n").as_bytes()).await?;
        }
        Ok::<_, io::Error>(())
    };
    let reports = async {
        while let Some(notice) = next(&mut reader).await? {
            let mut state = state.borrow_mut();
            state.notice(number, &source, notice, Moment::now());
        }
        Ok::<_, io::Error>(())
    };
    tokio::select! {
        ended = orders => ended,
        ended = reports => ended,
    }
}

/// The next line. It is not lost when the other side is waited for as well: reading is the only
/// thing a reader does.
async fn next(
    reader: &mut BufReader<tokio::net::unix::OwnedReadHalf>,
) -> io::Result<Option<Notice>> {
    let mut line = Vec::new();
    let mut limited = reader.take(LINE_MAX as u64);
    limited.read_until(b'\n', &mut line).await?;
    match line.strip_suffix(b"\n") {
        None if line.is_empty() => Ok(None),
        None => Err(io::Error::other("a line has no end")),
        Some(line) => {
            let text = std::str::from_utf8(line).map_err(io::Error::other)?;
            Notice::parse(text).map(Some).map_err(io::Error::other)
        }
    }
}
