// SPDX-License-Identifier: GPL-3.0-or-later
//! Waiting until a domain and its volumes are gone, by the domain manager's own events.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bulkhead_admin::{Destination, Request};
use bulkhead_types::{DomainName, Layout};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use serde::Deserialize;

/// What stands before a stream of system information.
const STREAM: &[u8] = b"0\0";

#[derive(Deserialize)]
struct SystemInfo {
    domains: BTreeMap<String, serde_json::Value>,
}

/// Waits until the domain manager knows no domain of this name, and then until its pool
/// holds no folder of it.
pub fn await_absence(layout: &Layout, name: &DomainName, limit: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    forgotten(layout, name, limit)
        .with_context(|| format!("{name} should be gone within {limit:?}"))?;
    let left = deadline.saturating_duration_since(Instant::now());
    emptied(&layout.pool(), name, left)
}

fn forgotten(layout: &Layout, name: &DomainName, limit: Duration) -> anyhow::Result<()> {
    let path = layout.internal_socket();
    let mut stream = UnixStream::connect(&path)
        .with_context(|| format!("cannot reach the domain manager at {}", path.display()))?;
    stream.set_read_timeout(Some(limit.max(Duration::from_millis(1))))?;
    let method = "internal.WatchSystemInfo".parse()?;
    stream.write_all(&Request::from_dom0(method, Destination::dom0(), Vec::new()).encode())?;
    stream.shutdown(Shutdown::Write)?;
    let mut reader = BufReader::new(stream);
    let mut start = [0; STREAM.len()];
    std::io::Read::read_exact(&mut reader, &mut start)?;
    ensure!(start == STREAM, "the domain manager refused to be watched");
    for line in reader.lines() {
        let info: SystemInfo = serde_json::from_str(&line?)?;
        if !info.domains.contains_key(name.as_str()) {
            return Ok(());
        }
    }
    bail!("the domain manager hung up")
}

fn emptied(pool: &Path, name: &DomainName, limit: Duration) -> anyhow::Result<()> {
    let watch = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    watch.add_watch(
        pool,
        AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM,
    )?;
    let deadline = Instant::now() + limit;
    loop {
        let entries = fs::read_dir(pool)?.collect::<Result<Vec<_>, _>>()?;
        let names = entries
            .iter()
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        // A folder on its way out has another name.
        let mut left = names.filter(|entry| entry.trim_start_matches(".gone-") == name.as_str());
        let Some(folder) = left.next() else {
            return Ok(());
        };
        let time = deadline.saturating_duration_since(Instant::now());
        ensure!(!time.is_zero(), "the pool still holds {folder}");
        let fd = PollFd::new(watch.as_fd(), PollFlags::POLLIN);
        poll(
            &mut [fd],
            PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX),
        )?;
        // What was removed does not matter; the next look tells.
        let _ = watch.read_events();
    }
}
