// SPDX-License-Identifier: MIT OR Apache-2.0
//! A channel with the habits that C programs expect.
//!
//! `None` stands for every failure: the C interface has no more words for it.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bulkhead_types::{DomId, Port};
use bulkhead_vchan::{Endpoints, OpenError, RingSizes, State, StreamError, Transport, Vchan};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// How soon a connecting thread notices that nobody wants the connection any more.
const LOOK_UP: Duration = Duration::from_millis(500);
/// The smallest ring over the socket transport, as Qubes' simulator has it.
const PAGE: usize = 4096;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is there.
    Connected,
    /// The server is not there yet.
    Pending,
    /// It will never be there.
    Failed,
}

/// One side of a channel.
#[derive(Debug)]
pub struct Channel {
    /// What `fd_for_select` gives: the vchan's own descriptor and `bell`.
    watched: Epoll,
    /// Rung for news that the vchan's descriptor does not tell.
    bell: Arc<EventFd>,
    link: Link,
}

#[derive(Debug)]
enum Link {
    Connecting(mpsc::Receiver<Result<Vchan, OpenError>>, Arc<AtomicBool>),
    Open(Arc<Mutex<Vchan>>, Option<Usher>),
    Failed,
}

/// Lets a client in while the program is busy elsewhere. Under Xen a client finds by itself all that
/// was announced and written before it came; over sockets somebody has to hand it out.
#[derive(Debug)]
struct Usher {
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

fn event() -> Option<EventFd> {
    EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).ok()
}

fn lock(vchan: &Mutex<Vchan>) -> MutexGuard<'_, Vchan> {
    vchan.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Channel {
    fn new(link: Link) -> Option<Self> {
        let watched = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).ok()?;
        let bell = event()?;
        watched
            .add(&bell, EpollEvent::new(EpollFlags::EPOLLIN, 0))
            .ok()?;
        Some(Self {
            watched,
            bell: Arc::new(bell),
            link,
        })
    }

    /// Announces a channel.
    pub fn serve(client: DomId, port: Port, read_min: usize, write_min: usize) -> Option<Self> {
        let endpoints = Endpoints::from_environment().ok()?;
        let over_socket = matches!(endpoints.transport(), Transport::Socket(_));
        let over_xen = matches!(endpoints.transport(), Transport::Xen);
        let least = if over_socket { PAGE } else { 0 };
        let sizes = RingSizes {
            receive: read_min.max(least),
            send: write_min.max(least),
        };
        let vchan = endpoints.serve(client, port, sizes).ok()?;
        let mut channel = Self::new(Link::Failed)?;
        channel.open(vchan)?;
        if let Link::Open(vchan, usher) = &mut channel.link
            && !over_xen
        {
            *usher = Some(Usher::start(vchan, &channel.bell)?);
        }
        Some(channel)
    }

    /// Begins to connect; [`Self::progress`] tells the rest.
    pub fn connect(server: DomId, port: Port) -> Option<Self> {
        let endpoints = Endpoints::from_environment().ok()?;
        let (sender, receiver) = mpsc::channel();
        let unwanted = Arc::new(AtomicBool::new(false));
        let channel = Self::new(Link::Connecting(receiver, Arc::clone(&unwanted)))?;
        let bell = Arc::clone(&channel.bell);
        let connect = move || {
            while !unwanted.load(Ordering::Relaxed) {
                match endpoints.connect(server, port, Some(LOOK_UP)) {
                    Err(OpenError::TimedOut { .. }) => {}
                    result => {
                        let _ = sender.send(result);
                        let _ = bell.write(1);
                        return;
                    }
                }
            }
        };
        thread::Builder::new().spawn(connect).ok()?;
        Some(channel)
    }

    /// How far the connection has come; `blocking` waits for more than `Pending`.
    pub fn progress(&mut self, blocking: bool) -> Progress {
        let Link::Connecting(news, _) = &self.link else {
            return match self.link {
                Link::Open(..) => Progress::Connected,
                _ => Progress::Failed,
            };
        };
        let result = if blocking {
            news.recv().ok()
        } else {
            match news.try_recv() {
                Err(mpsc::TryRecvError::Empty) => return Progress::Pending,
                other => other.ok(),
            }
        };
        let _ = self.bell.read();
        self.link = Link::Failed;
        match result
            .and_then(Result::ok)
            .and_then(|vchan| self.open(vchan))
        {
            Some(()) => Progress::Connected,
            None => Progress::Failed,
        }
    }

    fn open(&mut self, vchan: Vchan) -> Option<()> {
        let input = EpollEvent::new(EpollFlags::EPOLLIN, 0);
        self.watched.add(vchan.fd(), input).ok()?;
        self.link = Link::Open(Arc::new(Mutex::new(vchan)), None);
        Some(())
    }

    fn vchan(&self) -> Option<MutexGuard<'_, Vchan>> {
        match &self.link {
            Link::Open(vchan, _) => Some(lock(vchan)),
            _ => None,
        }
    }

    /// The descriptor to poll for input.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.watched.0.as_fd()
    }

    /// How the channel stands.
    pub fn state(&mut self) -> Option<State> {
        Some(self.vchan()?.state())
    }

    /// How many bytes wait to be read.
    pub fn readable(&mut self) -> Option<usize> {
        or_closed(self.vchan()?.readable())
    }

    /// How many bytes can be written.
    pub fn writable(&mut self) -> Option<usize> {
        or_closed(self.vchan()?.writable())
    }

    /// Waits for a wake-up; not when the peer has left, since none might come any more.
    pub fn wait(&mut self) -> Option<()> {
        if self.vchan()?.state() == State::Closed {
            return Some(());
        }
        wait_readable(&[self.fd()])?;
        let _ = self.bell.read();
        self.vchan()?.acknowledge().ok()
    }

    /// Repeats `attempt` until it has moved at least one byte.
    fn until_some(
        &mut self,
        mut attempt: impl FnMut(&mut Vchan) -> Result<usize, StreamError>,
    ) -> Option<usize> {
        loop {
            match attempt(&mut *self.vchan()?) {
                Ok(0) => {}
                Ok(count) => return Some(count),
                Err(_) => return None,
            }
            self.wait()?;
        }
    }

    /// Writes at least one byte, but no more than the ring holds.
    pub fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        if bytes.is_empty() {
            return Some(0);
        }
        self.until_some(|vchan| {
            let most = vchan.send_ring().min(bytes.len());
            vchan.write(&bytes[..most])
        })
    }

    /// Writes all bytes.
    pub fn send(&mut self, bytes: &[u8]) -> Option<usize> {
        if bytes.len() > self.vchan()?.send_ring() {
            return None;
        }
        // A message stays in one piece: it begins when there is room for all of it.
        while self.vchan()?.writable_at_least(bytes.len()).ok()? < bytes.len() {
            self.wait()?;
        }
        let mut done = 0;
        while done < bytes.len() {
            done += self.write(&bytes[done..])?;
        }
        Some(done)
    }

    /// Reads at least one byte, but no more than the ring holds.
    pub fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if buffer.is_empty() {
            return Some(0);
        }
        self.until_some(|vchan| {
            let most = vchan.receive_ring().min(buffer.len());
            vchan.read(&mut buffer[..most])
        })
    }

    /// Fills the buffer.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if buffer.len() > self.vchan()?.receive_ring() {
            return None;
        }
        let mut done = 0;
        while done < buffer.len() {
            done += self.read(&mut buffer[done..])?;
        }
        Some(done)
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        if let Link::Connecting(_, unwanted) = &self.link {
            unwanted.store(true, Ordering::Relaxed);
        }
    }
}

impl Usher {
    fn start(vchan: &Arc<Mutex<Vchan>>, bell: &Arc<EventFd>) -> Option<Self> {
        let stop = Arc::new(event()?);
        let door = lock(vchan).fd().try_clone_to_owned().ok()?;
        let (vchan, bell, stopped) = (Arc::clone(vchan), Arc::clone(bell), Arc::clone(&stop));
        let usher = move || {
            while lock(&vchan).state() == State::Waiting {
                let seen = wait_readable(&[door.as_fd(), stopped.as_fd()]);
                if seen.is_none_or(|seen| seen[1]) {
                    return;
                }
                let mut vchan = lock(&vchan);
                if vchan.state() == State::Waiting && vchan.acknowledge().is_err() {
                    return;
                }
            }
            // The program is to learn of it too.
            let _ = bell.write(1);
        };
        let thread = thread::Builder::new().spawn(usher).ok()?;
        Some(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Usher {
    fn drop(&mut self) {
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A peer that has left makes no count wrong: what it sent can still be read.
fn or_closed(result: Result<usize, StreamError>) -> Option<usize> {
    match result {
        Err(StreamError::Closed) => Some(0),
        other => other.ok(),
    }
}

/// Waits until one of the descriptors is readable; says which are.
fn wait_readable(fds: &[BorrowedFd<'_>]) -> Option<Vec<bool>> {
    loop {
        let mut entries: Vec<PollFd<'_>> = fds
            .iter()
            .map(|fd| PollFd::new(*fd, PollFlags::POLLIN))
            .collect();
        match poll(&mut entries, PollTimeout::NONE) {
            Ok(_) => return Some(entries.iter().map(|e| e.any().unwrap_or(true)).collect()),
            Err(nix::Error::EINTR) => {}
            Err(_) => return None,
        }
    }
}
