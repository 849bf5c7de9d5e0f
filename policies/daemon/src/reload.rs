// SPDX-License-Identifier: GPL-3.0-or-later
//! Reads the policy again whenever its files change.
//!
//! A file counts when it has been closed by its writer or moved into place, never while it is
//! being written. Whoever changes several files one after the other gets each step read; the
//! way to change them as one is to rename a directory.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use bulkhead_policy::{Policy, SourceMap};
use bulkhead_types::Layout;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, watch};
use tracing::warn;

use crate::clock::Moment;
use crate::live::{self, load_live};
use crate::prepare::{self, BadPolicy, ReadPolicy};
use crate::settings::{Settings, SettingsError};
use crate::state::Shared;

/// What is worth a look. `IN_CREATE` is for links and directories: see [`is_unfinished`].
const EVENTS: AddWatchFlags = AddWatchFlags::IN_CLOSE_WRITE
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_ONLYDIR);

/// An inotify instance with the directories it watches.
struct Watch {
    inotify: AsyncFd<Descriptor>,
    watched: Vec<(nix::sys::inotify::WatchDescriptor, PathBuf)>,
}

/// The instance in the traits that the runtime asks for.
struct Descriptor(Inotify);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Reads the policy now and after each change, for ever. `first` is told when it has been
/// read for the first time.
pub(crate) async fn keep_loaded(
    layout: &Layout,
    state: &Shared,
    again: &Again,
    first: tokio::sync::oneshot::Sender<()>,
) -> io::Result<()> {
    let mut first = Some(first);
    let own = live::places(layout);
    let mut wanted: BTreeSet<PathBuf> = own.iter().cloned().collect();
    loop {
        // Watched before it is read, so that no change falls in between.
        let watch = Watch::new(&wanted)?;
        let round = again.begin();
        let before = state.borrow().policy();
        let (outcome, settings) = load(layout.clone(), before).await?;
        let needed = places(&own, sources(&outcome));
        if !needed.is_subset(&wanted) {
            wanted.extend(needed);
            watch.close();
            continue;
        }
        wanted = needed;
        state.borrow_mut().set(settings, Moment::now());
        match outcome {
            Ok(read) => prepare::go_live(state, read).await?,
            Err(bad) => state.borrow_mut().refuse_policy(bad.text),
        }
        if let Some(first) = first.take() {
            let _ = first.send(());
        }
        again.end(round);
        tokio::select! {
            changed = watch.change() => changed?,
            () = again.asked.notified() => {}
        }
        watch.close();
    }
}

/// Has everything read again, whether or not something has changed.
#[derive(Clone, Debug)]
pub(crate) struct Again {
    asked: Rc<Notify>,
    begun: Rc<Cell<u64>>,
    ended: Rc<watch::Sender<u64>>,
}

impl Again {
    pub fn new() -> Self {
        Self {
            asked: Rc::default(),
            begun: Rc::default(),
            ended: Rc::new(watch::Sender::new(0)),
        }
    }

    /// Returns when what is on the disk now has been read.
    pub async fn read(&self) {
        // A round that has begun may have seen what was there before.
        let wanted = self.begun.get() + 1;
        self.asked.notify_one();
        let _ = self
            .ended
            .subscribe()
            .wait_for(|ended| *ended >= wanted)
            .await;
    }

    fn begin(&self) -> u64 {
        self.begun.set(self.begun.get() + 1);
        self.begun.get()
    }

    fn end(&self, round: u64) {
        self.ended.send_replace(round);
    }
}

type Outcome = Result<ReadPolicy, BadPolicy>;

/// Reads the policy and the settings on a thread of their own: meanwhile calls go on being decided.
async fn load(
    layout: Layout,
    before: Arc<Policy>,
) -> io::Result<(Outcome, Result<Settings, SettingsError>)> {
    prepare::aside(move || {
        let outcome = match load_live(&layout) {
            Ok(live) => Ok(ReadPolicy::new(live, &before, SystemTime::now())),
            Err(rejected) => Err(rejected.into()),
        };
        (outcome, Settings::load(&layout))
    })
    .await
}

fn sources(outcome: &Outcome) -> &SourceMap {
    match outcome {
        Ok(read) => read.policy.sources(),
        Err(bad) => &bad.sources,
    }
}

/// The directories that hold, or should hold, what the policy is made of.
fn places(own: &[PathBuf], sources: &SourceMap) -> BTreeSet<PathBuf> {
    let files = sources.files().map(|file| PathBuf::from(&*file.name));
    let included = files.filter_map(|file| file.parent().map(Path::to_owned));
    own.iter().cloned().chain(included).collect()
}

impl Watch {
    /// Watches directories and, of each that is missing, the nearest one above that is not.
    fn new(directories: &BTreeSet<PathBuf>) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let mut watched = Vec::new();
        for directory in directories {
            for (depth, place) in directory.ancestors().enumerate() {
                // The one above tells when the directory itself is replaced.
                match inotify.add_watch(place, EVENTS) {
                    Ok(descriptor) => watched.push((descriptor, place.to_owned())),
                    Err(Errno::ENOENT | Errno::ENOTDIR) => continue,
                    Err(e) => warn!("cannot watch `{}`: {e}", place.display()),
                }
                if depth > 0 {
                    break;
                }
            }
        }
        #[expect(
            deprecated,
            reason = "its successor is unsafe; a `Descriptor` owns the one descriptor it names"
        )]
        let inotify = AsyncFd::new(Descriptor(inotify))?;
        Ok(Self { inotify, watched })
    }

    /// Ends it. The system may take tens of milliseconds to let go of a watch.
    fn close(self) {
        let descriptor = self.inotify.into_inner();
        drop(tokio::task::spawn_blocking(move || drop(descriptor)));
    }

    /// Returns once something has changed that may matter.
    async fn change(&self) -> io::Result<()> {
        loop {
            let mut ready = self.inotify.readable().await?;
            let read = ready.try_io(|inner| inner.get_ref().0.read_events().map_err(Into::into));
            match read {
                Err(_would_block) => continue,
                Ok(events) => {
                    if events?.iter().any(|event| self.matters(event)) {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn matters(&self, event: &InotifyEvent) -> bool {
        if !event.mask.contains(AddWatchFlags::IN_CREATE) {
            return true;
        }
        let places = self.watched.iter().filter(|(wd, _)| *wd == event.wd);
        let name = event.name.clone().unwrap_or_default();
        !places
            .map(|(_, place)| place.join(&name))
            .any(|path| is_unfinished(&path))
    }
}

/// A file that was just created by name is empty until its writer closes it, which is an
/// event of its own. A link to a finished file has no such second event.
fn is_unfinished(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|m| m.is_file() && m.nlink() == 1)
}
