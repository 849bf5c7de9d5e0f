// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every store must do: each case takes a way to connect as a domain.

use std::time::Duration;

use bulkhead_types::DomId;
use bulkhead_xen::store::{
    Access, FakeXenstored, MemStore, Permission, Permissions, Refusal, Store, StoreError, Tx,
    WatchEvent, WatchId, XenStore,
};
use tempfile::TempDir;

fn id(number: u32) -> DomId {
    DomId::new(number).unwrap()
}

/// A store with the domains 3 and 4, and how to connect to it.
trait World {
    type Connection: Store;
    fn new() -> Self;
    fn connect(&mut self, domain: u32) -> Self::Connection;
    fn store(&self) -> &MemStore;
}

struct InMemory(MemStore);

impl World for InMemory {
    type Connection = bulkhead_xen::store::MemConnection;
    fn new() -> Self {
        let store = MemStore::new();
        for domain in [0, 3, 4] {
            store.introduce(id(domain));
        }
        Self(store)
    }
    fn connect(&mut self, domain: u32) -> Self::Connection {
        self.0.connect(id(domain)).unwrap()
    }
    fn store(&self) -> &MemStore {
        &self.0
    }
}

struct OverTheWire {
    memory: InMemory,
    folder: TempDir,
    servers: Vec<FakeXenstored>,
}

impl World for OverTheWire {
    type Connection = XenStore;
    fn new() -> Self {
        Self {
            memory: InMemory::new(),
            folder: tempfile::tempdir().unwrap(),
            servers: vec![],
        }
    }
    fn connect(&mut self, domain: u32) -> XenStore {
        let socket = self.folder.path().join(self.servers.len().to_string());
        self.servers
            .push(FakeXenstored::listen(&socket, self.memory.0.clone(), id(domain)).unwrap());
        XenStore::at_socket(&socket).unwrap()
    }
    fn store(&self) -> &MemStore {
        &self.memory.0
    }
}

fn refusal<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Refusal {
    match result.unwrap_err() {
        StoreError::Refused { refusal, .. } => refusal,
        other => panic!("not a refusal: {other:?}"),
    }
}

fn next(store: &mut impl Store) -> WatchEvent {
    store
        .next_event(Some(Duration::from_secs(60)))
        .unwrap()
        .expect("an event comes")
}

fn nothing(store: &mut impl Store) {
    // Whatever the store has sent before its answer to this request has arrived by then.
    store.list(Tx::NONE, "/").unwrap_or_default();
    assert_eq!(store.next_event(Some(Duration::ZERO)).unwrap(), None);
}

fn path_of(event: WatchEvent, watch: WatchId) -> String {
    assert_eq!(event.watch, watch);
    event.path
}

fn values_are_kept_below_their_paths<W: World>() {
    let mut world = W::new();
    let mut dom0 = world.connect(0);
    dom0.write(Tx::NONE, "/tool/a/b", b"one\0two\xff").unwrap();
    assert_eq!(dom0.read(Tx::NONE, "/tool/a/b").unwrap(), b"one\0two\xff");
    assert_eq!(dom0.read(Tx::NONE, "/tool/a").unwrap(), b"");
    dom0.mkdir(Tx::NONE, "/tool/a/c").unwrap();
    dom0.mkdir(Tx::NONE, "/tool/a/b").unwrap();
    assert_eq!(dom0.list(Tx::NONE, "/tool/a").unwrap(), ["b", "c"]);
    assert_eq!(dom0.list(Tx::NONE, "/tool/a/c").unwrap(), [""; 0]);
    dom0.rm(Tx::NONE, "/tool/a").unwrap();
    assert_eq!(refusal(dom0.read(Tx::NONE, "/tool/a/b")), Refusal::NotFound);
    dom0.rm(Tx::NONE, "/tool/a").unwrap();
    assert_eq!(refusal(dom0.rm(Tx::NONE, "/tool/a/b/c")), Refusal::NotFound);
    assert_eq!(refusal(dom0.rm(Tx::NONE, "/")), Refusal::Invalid);
    assert_eq!(refusal(dom0.write(Tx::NONE, "/a b", b"")), Refusal::Invalid);
    assert_eq!(refusal(dom0.read(Tx::NONE, "/a\0/b")), Refusal::Invalid);
    assert_eq!(dom0.read_text(Tx::NONE, "/nowhere").unwrap(), None);
}

fn a_domain_knows_itself_and_its_home<W: World>() {
    let mut world = W::new();
    let mut guest = world.connect(3);
    assert_eq!(guest.own_id().unwrap(), id(3));
    guest.write(Tx::NONE, "data/report", b"x").unwrap();
    let mut dom0 = world.connect(0);
    assert_eq!(
        dom0.read(Tx::NONE, "/local/domain/3/data/report").unwrap(),
        b"x"
    );
    assert_eq!(dom0.own_id().unwrap(), DomId::DOM0);
}

fn nobody_reads_or_writes_what_is_not_theirs<W: World>() {
    let mut world = W::new();
    let (mut dom0, mut guest, mut other) = (world.connect(0), world.connect(3), world.connect(4));
    guest.write(Tx::NONE, "data/secret", b"x").unwrap();
    let path = "/local/domain/3/data/secret";
    assert_eq!(refusal(other.read(Tx::NONE, path)), Refusal::Denied);
    assert_eq!(
        refusal(other.read(Tx::NONE, "/local/domain/3/data/nothing")),
        Refusal::Denied
    );
    assert_eq!(
        refusal(guest.write(Tx::NONE, "name", b"x")),
        Refusal::Denied
    );
    assert_eq!(
        refusal(guest.rm(Tx::NONE, "/local/domain/3")),
        Refusal::Denied
    );
    assert_eq!(
        guest.permissions(Tx::NONE, path).unwrap(),
        Permissions::private(id(3))
    );

    let readable = Permissions::private(id(3)).readable_by(id(4));
    guest.set_permissions(Tx::NONE, path, &readable).unwrap();
    assert_eq!(other.read(Tx::NONE, path).unwrap(), b"x");
    assert_eq!(refusal(other.write(Tx::NONE, path, b"y")), Refusal::Denied);
    let mut grab = readable;
    grab.named = vec![Permission {
        domain: id(4),
        access: Access::Both,
    }];
    assert_eq!(
        refusal(other.set_permissions(Tx::NONE, path, &grab)),
        Refusal::Denied
    );
    dom0.set_permissions(Tx::NONE, path, &grab).unwrap();
    other.write(Tx::NONE, path, b"y").unwrap();
}

fn a_transaction_happens_whole_or_not_at_all<W: World>() {
    let mut world = W::new();
    let (mut one, mut two) = (world.connect(0), world.connect(0));
    let tx = one.begin().unwrap();
    one.write(tx, "/t/a", b"1").unwrap();
    assert_eq!(one.read(tx, "/t/a").unwrap(), b"1");
    assert_eq!(refusal(two.read(Tx::NONE, "/t/a")), Refusal::NotFound);
    one.end(tx, true).unwrap();
    assert_eq!(two.read(Tx::NONE, "/t/a").unwrap(), b"1");

    let tx = one.begin().unwrap();
    one.write(tx, "/t/a", b"2").unwrap();
    one.end(tx, false).unwrap();
    assert_eq!(one.read(Tx::NONE, "/t/a").unwrap(), b"1");

    let tx = one.begin().unwrap();
    one.write(tx, "/t/a", b"3").unwrap();
    two.write(Tx::NONE, "/t/a", b"4").unwrap();
    assert_eq!(refusal(one.end(tx, true)), Refusal::Conflict);
    assert_eq!(one.read(Tx::NONE, "/t/a").unwrap(), b"4");
    assert_eq!(refusal(one.end(tx, true)), Refusal::NotFound);
}

fn a_transaction_does_not_conflict_with_itself<W: World>() {
    let mut world = W::new();
    let mut guest = world.connect(3);
    guest.write(Tx::NONE, "data/x/y/z", b"1").unwrap();
    let tx = guest.begin().unwrap();
    guest.write(tx, "data/x/new", b"1").unwrap();
    guest.rm(tx, "data/x/y").unwrap();
    guest.rm(tx, "data/x/new").unwrap();
    assert_eq!(guest.list(tx, "data/x").unwrap(), [""; 0]);
    guest.rm(tx, "data/x").unwrap();
    guest.end(tx, true).unwrap();
    assert_eq!(guest.list(Tx::NONE, "data").unwrap(), [""; 0]);
}

fn a_transaction_is_tried_again_after_a_conflict<W: World>() {
    let mut world = W::new();
    let (mut one, mut two) = (world.connect(0), world.connect(0));
    one.write(Tx::NONE, "/n", b"1").unwrap();
    let mut tries = 0;
    one.transaction(|store, tx| {
        tries += 1;
        let seen = store.read(tx, "/n")?;
        if tries == 1 {
            two.write(Tx::NONE, "/n", b"2").unwrap();
        }
        store.write(tx, "/n", &[seen, b"+".to_vec()].concat())
    })
    .unwrap();
    assert_eq!(
        (tries, one.read(Tx::NONE, "/n").unwrap()),
        (2, b"2+".to_vec())
    );
    let failed = one.transaction(|store, tx| {
        store.write(tx, "/n", b"lost")?;
        store.read(tx, "/nowhere").map(drop)
    });
    assert_eq!(refusal(failed), Refusal::NotFound);
    assert_eq!(one.read(Tx::NONE, "/n").unwrap(), b"2+");
}

fn watchers_hear_of_what_happens_below<W: World>() {
    let mut world = W::new();
    let (mut dom0, mut guest) = (world.connect(0), world.connect(3));
    let watch = dom0.watch("/local/domain/3/data").unwrap();
    assert_eq!(path_of(next(&mut dom0), watch), "/local/domain/3/data");
    nothing(&mut dom0);
    guest.write(Tx::NONE, "data/x", b"1").unwrap();
    assert_eq!(path_of(next(&mut dom0), watch), "/local/domain/3/data/x");
    let tx = guest.begin().unwrap();
    guest.write(tx, "data/y", b"1").unwrap();
    nothing(&mut dom0);
    guest.end(tx, true).unwrap();
    assert_eq!(path_of(next(&mut dom0), watch), "/local/domain/3/data/y");
    dom0.unwatch(watch).unwrap();
    guest.rm(Tx::NONE, "data/x").unwrap();
    nothing(&mut dom0);
}

fn a_watched_node_that_goes_with_its_parent_is_told<W: World>() {
    let mut world = W::new();
    let (mut dom0, mut guest) = (world.connect(0), world.connect(3));
    guest.write(Tx::NONE, "data/deep/node", b"1").unwrap();
    let relative = guest.watch("data/deep/node").unwrap();
    assert_eq!(path_of(next(&mut guest), relative), "data/deep/node");
    dom0.rm(Tx::NONE, "/local/domain/3/data/deep").unwrap();
    assert_eq!(path_of(next(&mut guest), relative), "data/deep/node");
}

fn events_nobody_may_see_do_not_come<W: World>() {
    let mut world = W::new();
    let (mut guest, mut other) = (world.connect(3), world.connect(4));
    let watch = other.watch("/local/domain/3/data").unwrap();
    assert_eq!(path_of(next(&mut other), watch), "/local/domain/3/data");
    guest.write(Tx::NONE, "data/x", b"1").unwrap();
    nothing(&mut other);
}

fn the_end_of_a_domain_is_told_to_dom0<W: World>() {
    let mut world = W::new();
    let mut dom0 = world.connect(0);
    let watch = dom0.watch("@releaseDomain").unwrap();
    assert_eq!(path_of(next(&mut dom0), watch), "@releaseDomain");
    assert!(dom0.is_introduced(id(3)).unwrap());
    assert_eq!(
        refusal(world.connect(4).is_introduced(id(3))),
        Refusal::Denied
    );
    world.store().release(id(3));
    assert!(!dom0.is_introduced(id(3)).unwrap());
    assert_eq!(path_of(next(&mut dom0), watch), "@releaseDomain");
    assert_eq!(
        refusal(dom0.read(Tx::NONE, "/local/domain/3/domid")),
        Refusal::NotFound
    );
}

fn a_guest_cannot_use_up_the_store<W: World>() {
    let mut world = W::new();
    let mut guest = world.connect(3);
    let open: Vec<_> = (0..10).map(|_| guest.begin().unwrap()).collect();
    assert_eq!(refusal(guest.begin()), Refusal::Quota);
    guest.end(open[0], false).unwrap();
    guest.begin().unwrap();
    assert_eq!(
        refusal(guest.write(Tx::NONE, "data/big", &[0; 2049])),
        Refusal::Quota
    );
    for _ in 0..128 {
        guest.watch("data").unwrap();
    }
    assert_eq!(refusal(guest.watch("data")), Refusal::TooBig);
}

fn a_large_directory_is_listed_whole<W: World>() {
    let mut world = W::new();
    let mut dom0 = world.connect(0);
    let names: Vec<_> = (0..500)
        .map(|i| format!("a-rather-long-name-{i:04}"))
        .collect();
    for name in &names {
        dom0.mkdir(Tx::NONE, &format!("/many/{name}")).unwrap();
    }
    assert_eq!(dom0.list(Tx::NONE, "/many").unwrap(), names);
}

macro_rules! conformance {
    ($($case:ident)*) => {
        mod in_memory { $(#[test] fn $case() { super::$case::<super::InMemory>(); })* }
        mod over_the_wire { $(#[test] fn $case() { super::$case::<super::OverTheWire>(); })* }
    };
}

conformance! {
    values_are_kept_below_their_paths
    a_domain_knows_itself_and_its_home
    nobody_reads_or_writes_what_is_not_theirs
    a_transaction_happens_whole_or_not_at_all
    a_transaction_does_not_conflict_with_itself
    a_transaction_is_tried_again_after_a_conflict
    watchers_hear_of_what_happens_below
    a_watched_node_that_goes_with_its_parent_is_told
    events_nobody_may_see_do_not_come
    the_end_of_a_domain_is_told_to_dom0
    a_guest_cannot_use_up_the_store
    a_large_directory_is_listed_whole
}

#[test]
fn a_store_that_is_not_there_is_named() {
    let error = XenStore::at_socket("/no/such/socket".as_ref()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot reach xenstore at /no/such/socket"
    );
}
