// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pages that one domain lets another read.

use std::fs::OpenOptions;

use bulkhead_types::DomId;
use bulkhead_vchan::{SHARE_MAX, ShareError};

use crate::stream::{CLIENT, Pair, SERVER, id};

#[test]
fn a_peer_reads_what_the_owner_writes() {
    let pair = Pair::local();
    let mut shared = pair.server.share(id(CLIENT), 3).unwrap();
    assert_eq!(shared.len(), 3 * 4096);
    let mapped = pair.client.map(id(SERVER), shared.refs()).unwrap();
    shared.write(4090, b"across pages").unwrap();
    let mut seen = [0; 12];
    mapped.read(4090, &mut seen).unwrap();
    assert_eq!(&seen, b"across pages");
    mapped.read(0, &mut seen).unwrap();
    assert_eq!(seen, [0; 12], "fresh pages are zero");
}

#[test]
fn mapped_pages_outlive_their_owner() {
    let pair = Pair::local();
    let mut shared = pair.server.share(id(CLIENT), 1).unwrap();
    shared.write(0, b"kept").unwrap();
    let references = shared.refs().to_vec();
    let mapped = pair.client.map(id(SERVER), &references).unwrap();
    drop(shared);
    let mut seen = [0; 4];
    mapped.read(0, &mut seen).unwrap();
    assert_eq!(&seen, b"kept");
    let gone = pair.client.map(id(SERVER), &references);
    assert!(matches!(gone, Err(ShareError::NoSuchPages { .. })));
}

#[test]
fn pages_shared_with_one_domain_are_not_there_for_another() {
    let pair = Pair::local();
    let shared = pair.server.share(id(3), 1).unwrap();
    let result = pair.client.map(id(SERVER), shared.refs());
    assert!(matches!(result, Err(ShareError::NoSuchPages { .. })));
}

#[test]
fn references_out_of_order_or_too_many_map_nothing() {
    let pair = Pair::local();
    let shared = pair.server.share(id(CLIENT), 2).unwrap();
    let first = shared.refs()[0];
    for bad in [
        vec![],
        vec![first, first],
        vec![first, first + 1, first + 2],
        vec![0; SHARE_MAX + 1],
    ] {
        assert!(pair.client.map(id(SERVER), &bad).is_err());
    }
    assert!(pair.client.map(id(SERVER), &[first]).is_ok());
    for count in [0, SHARE_MAX + 1] {
        let result = pair.server.share(id(CLIENT), count);
        assert!(matches!(result, Err(ShareError::Count { .. })));
    }
}

#[test]
fn no_access_reaches_beyond_the_share() {
    let pair = Pair::local();
    let mut shared = pair.server.share(id(CLIENT), 1).unwrap();
    let mapped = pair.client.map(id(SERVER), shared.refs()).unwrap();
    for (offset, length) in [(4096, 1), (4090, 7), (usize::MAX, 2), (0, 4097)] {
        let mut buffer = vec![0; length];
        assert!(matches!(
            shared.write(offset, &buffer),
            Err(ShareError::OutOfBounds { .. })
        ));
        assert!(matches!(
            mapped.read(offset, &mut buffer),
            Err(ShareError::OutOfBounds { .. })
        ));
    }
}

#[test]
fn an_owner_that_shortens_its_file_kills_nobody() {
    let pair = Pair::local();
    let shared = pair.server.share(id(CLIENT), 2).unwrap();
    let mapped = pair.client.map(id(SERVER), shared.refs()).unwrap();
    let name = format!("pages.{SERVER}.{CLIENT}.{}", shared.refs()[0]);
    let file = OpenOptions::new()
        .write(true)
        .open(pair.folder.path().join(name))
        .unwrap();
    file.set_len(10).unwrap();
    assert!(mapped.read(4096, &mut [0; 16]).is_err());
    assert_eq!(pair.server.own_id(), DomId::new(SERVER).unwrap());
}
