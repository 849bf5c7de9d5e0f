// SPDX-License-Identifier: GPL-3.0-or-later
//! The process around the manager: its one thread, its sockets, its signals.

use std::rc::Rc;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use crate::api::{Door, listen, serve};
use crate::host::Host;
use crate::work::{Manager, Parts};

/// Repairs, then serves until SIGTERM or SIGINT. Guests run on when this returns.
pub fn run<H: Host>(parts: Parts<H>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = LocalSet::new();
    let outcome = local.block_on(&runtime, serve_until_told(parts));
    // A call to the machine that hangs must not keep this process.
    runtime.shutdown_background();
    outcome
}

async fn serve_until_told<H: Host>(parts: Parts<H>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let manager = Manager::open(parts).context("cannot read the database")?;
    let layout = manager.layout();
    // The sockets first: whoever serves already must not be disturbed by a repair.
    let admin = open(&layout.admin_socket())?;
    let internal = open(&layout.internal_socket())?;
    manager.listen_for_deaths();
    let repair = manager
        .repair()
        .await
        .context("cannot bring the domains into order")?;
    tracing::info!("{repair}");
    tokio::task::spawn_local(serve(manager.clone(), admin, Door::Admin));
    tokio::task::spawn_local(serve(manager.clone(), internal, Door::Internal));
    sd_notify::notify(&[sd_notify::NotifyState::Ready])
        .context("cannot say that bulkheadd is ready")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("ending; the domains run on");
    end(&manager).await;
    Ok(())
}

fn open(path: &std::path::Path) -> anyhow::Result<tokio::net::UnixListener> {
    listen(path).with_context(|| format!("cannot open the socket {}", path.display()))
}

async fn end(manager: &Rc<Manager>) {
    for path in [
        manager.layout().admin_socket(),
        manager.layout().internal_socket(),
    ] {
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!("cannot remove {}: {error}", path.display());
        }
    }
    manager.dismiss_crews().await;
}
