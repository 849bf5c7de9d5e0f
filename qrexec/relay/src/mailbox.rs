// SPDX-License-Identifier: GPL-3.0-or-later
//! Letters from threads to the loop that waits in `poll`.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};

/// The loop's end.
#[derive(Debug)]
pub struct Mailbox<T> {
    letters: mpsc::Receiver<T>,
    bell: UnixStream,
    post: Post<T>,
}

/// A thread's end; any number of copies can be made.
#[derive(Debug)]
pub struct Post<T> {
    letters: mpsc::Sender<T>,
    bell: Arc<UnixStream>,
}

impl<T> Clone for Post<T> {
    fn clone(&self) -> Self {
        Self {
            letters: self.letters.clone(),
            bell: Arc::clone(&self.bell),
        }
    }
}

impl<T> Mailbox<T> {
    /// An empty mailbox.
    pub fn new() -> io::Result<Self> {
        let (bell, ring) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ring.set_nonblocking(true)?;
        let (sender, letters) = mpsc::channel();
        Ok(Self {
            letters,
            bell,
            post: Post {
                letters: sender,
                bell: Arc::new(ring),
            },
        })
    }

    /// A new end for a thread.
    pub fn post(&self) -> Post<T> {
        self.post.clone()
    }

    /// Readable when letters have come.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Takes all letters that are there.
    pub fn take(&mut self) -> Vec<T> {
        // The bell is silenced first: a letter that comes meanwhile rings it again.
        let mut rings = [0; 256];
        while matches!((&self.bell).read(&mut rings), Ok(len) if len == rings.len()) {}
        self.letters.try_iter().collect()
    }
}

impl<T> Post<T> {
    /// Sends a letter. If the loop has ended, the letter is dropped.
    pub fn send(&self, letter: T) {
        if self.letters.send(letter).is_ok() {
            // A full bell rings already.
            let _ = (&*self.bell).write(&[1]);
        }
    }
}
