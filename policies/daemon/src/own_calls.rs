// SPDX-License-Identifier: GPL-3.0-or-later
//! Calls that dom0 makes itself, for the record. Nothing is decided about them, and they count for no
//! quota.
//!
//! Programs of dom0 tell of their own calls alone: a report here closes the record that was opened on the
//! same connection, whatever number it holds.

use std::io;
use std::time::Duration;

use policy_ledger::{Close, Decision, Event};
use qrexec_protocol::own_call::{END_LEN_MAX, OwnCall};
use tokio::io::{AsyncRead, AsyncReadExt};
use tracing::error;

use crate::clock::Moment;
use crate::report::{self, Report};
use crate::state::{Shared, State};

/// Records the call and, when it has come, its end. `followed` is false where so many calls are under way
/// that only the beginning is recorded.
pub(crate) async fn record(
    call: OwnCall,
    reader: impl AsyncRead + Unpin,
    followed: bool,
    state: &Shared,
) -> io::Result<()> {
    let begun = Moment::now();
    // What cannot be recorded has been told there. Dom0 has to be able to mend it, so its call goes on.
    let Some(number) = state.borrow_mut().own_call(call, begun) else {
        return Ok(());
    };
    if !followed {
        error!(
            "more calls of dom0 are under way than are followed: the end of {number} is not recorded"
        );
        return Ok(());
    }
    let mut told = Vec::new();
    let read = reader.take(END_LEN_MAX as u64).read_to_end(&mut told).await;
    let now = Moment::now();
    let close = match report::decode(&told) {
        Ok(Report { source, close }) if read.is_ok() && source.is_dom0() => Close {
            call: number,
            ..close
        },
        _ => gone(number, now.boot.saturating_sub(begun.boot)),
    };
    state
        .borrow_mut()
        .book
        .record(Event::Close(close), now.wall);
    Ok(())
}

fn gone(call: u64, after: Duration) -> Close {
    Close {
        call,
        duration_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
        end: "its program in dom0 has gone".to_owned(),
        ..Close::default()
    }
}

impl State {
    /// The record of a call of dom0; its number.
    fn own_call(&mut self, call: OwnCall, now: Moment) -> Option<u64> {
        let OwnCall { target, service } = call;
        if self.book.keeps_private(self.is_disposable(&target)) {
            self.book.record(Event::Private, now.wall);
            return None;
        }
        let named = self.domain(&target).map(|domain| domain.name.to_string());
        let decision = Decision {
            source: "dom0".to_owned(),
            target: Some(named.unwrap_or_else(|| target.clone())),
            requested_target: target,
            service,
            verdict: "allow".to_owned(),
            reason: Some("dom0 asks nobody".to_owned()),
            ..Decision::default()
        };
        self.book.record(Event::Decision(decision), now.wall)
    }
}
