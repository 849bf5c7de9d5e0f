// SPDX-License-Identifier: GPL-3.0-or-later
//! Word from xenstore that some domain may have ended.

use std::iter;

use bulkhead_xen::store::{Store, StoreError, XenStore};

/// Xen's name for it; what it says comes with no word on which domain it was.
pub(super) const WATCHED: &str = "@releaseDomain";

/// One item at once and then one each time; ends when xenstore does.
pub(super) fn releases() -> Result<impl Iterator<Item = ()> + Send + 'static, StoreError> {
    // On a connection of its own, so that nobody waits for anybody's answer here.
    let mut store = XenStore::open()?;
    store.watch(WATCHED)?;
    Ok(iter::from_fn(move || match store.next_event(None) {
        Ok(event) => event.map(drop),
        Err(error) => {
            tracing::error!("xenstore: {error}");
            None
        }
    }))
}
