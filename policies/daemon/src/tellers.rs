// SPDX-License-Identifier: GPL-3.0-or-later
//! The socket on which qrexec daemons tell of calls under way, and are told which have to end; and on
//! which dom0's programs tell of their own calls.

use std::io;
use std::sync::Arc;

use qrexec_protocol::own_call::OwnCall;
use qrexec_protocol::under_way::{LINE_MAX, Notice};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_local;
use tracing::warn;

use crate::clock::Moment;
use crate::own_calls;
use crate::socket::accept;
use crate::state::Shared;

type Reader = BufReader<OwnedReadHalf>;

/// How many calls of dom0 are followed to their end at one time.
const OWN_CALLS_MAX: usize = 2048;

/// Takes reporters for ever.
pub(crate) async fn hear_tellers(listener: UnixListener, state: Shared) {
    let mut number = 0;
    let places = Arc::new(Semaphore::new(OWN_CALLS_MAX));
    loop {
        let stream = accept(&listener).await;
        number += 1;
        let (state, places) = (state.clone(), places.clone());
        spawn_local(async move {
            if let Err(error) = listen(stream, number, &places, &state).await {
                warn!("a teller of calls is not heard any longer: {error}");
            }
            state.borrow_mut().reporter_gone(number, Moment::now());
        });
    }
}

async fn listen(
    stream: UnixStream,
    number: u64,
    places: &Semaphore,
    state: &Shared,
) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    // Whoever looks whether somebody listens says nothing.
    let Some(first) = line(&mut reader).await? else {
        return Ok(());
    };
    if OwnCall::is_one(&first) {
        let call = OwnCall::parse(&first).map_err(io::Error::other)?;
        let place = places.try_acquire();
        return own_calls::record(call, reader, place.is_ok(), state).await;
    }
    let Ok(Notice::Source(source)) = Notice::parse(&first) else {
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

async fn next(reader: &mut Reader) -> io::Result<Option<Notice>> {
    let notice = line(reader).await?.map(|line| Notice::parse(&line));
    notice.transpose().map_err(io::Error::other)
}

/// The next line. It is not lost when the other side is waited for as well: reading is the only
/// thing a reader does.
async fn line(reader: &mut Reader) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let mut limited = reader.take(LINE_MAX as u64);
    limited.read_until(b'\n', &mut line).await?;
    match line.strip_suffix(b"\n") {
        None if line.is_empty() => Ok(None),
        None => Err(io::Error::other("a line has no end")),
        Some(line) => {
            let text = String::from_utf8(line.to_vec());
            text.map(Some).map_err(io::Error::other)
        }
    }
}
