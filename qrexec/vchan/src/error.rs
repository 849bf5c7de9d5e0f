// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong, one enum per kind of operation.

use std::io;
use std::path::PathBuf;

use bulkhead_types::{DomId, Port};
use bulkhead_xen::store::StoreError;
use thiserror::Error;

/// Why a channel could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// An environment variable holds something else than it should.
    #[error("the environment variable {variable} is `{value}`, not {expected}")]
    Environment {
        /// Its name.
        variable: &'static str,
        /// What it holds.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// The device or socket through which Xen is reached is missing or closed to us.
    #[error(
        "cannot reach Xen: {what}; on a machine without Xen set BULKHEAD_VCHAN=local:DIRECTORY, \
         or run `cargo xtask try`"
    )]
    NoXen {
        /// Which door failed.
        what: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// A domain asked for a channel to itself.
    #[error("domain {0} cannot open a channel to itself")]
    Loopback(DomId),
    /// A ring larger than the protocol allows.
    #[error("a ring of {asked} bytes was asked for; the limit is {limit}")]
    RingTooLarge {
        /// Bytes asked for.
        asked: usize,
        /// [`crate::RING_MAX`].
        limit: usize,
    },
    /// The server did not announce the channel, or did not answer, in time.
    #[error("domain {server} did not open port {port} in time")]
    TimedOut {
        /// The domain that should have served.
        server: DomId,
        /// The port.
        port: Port,
    },
    /// Somebody here said that the server is not going to come.
    #[error("domain {server} is not going to open port {port}")]
    CalledOff {
        /// The domain that should have served.
        server: DomId,
        /// The port.
        port: Port,
    },
    /// The domain that should serve is gone.
    #[error("domain {0} is gone")]
    PeerGone(DomId),
    /// What the server offered cannot be a channel.
    #[error("domain {server} offers a broken channel: {what}")]
    Corrupt {
        /// The domain that serves.
        server: DomId,
        /// What is wrong with the offer.
        what: &'static str,
    },
    /// The folder where local channels meet is missing.
    #[error("the folder {} for local channels cannot be used", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The domains could not find each other through xenstore.
    #[error("cannot announce or find the channel")]
    Store(#[source] StoreError),
    /// A call into the system failed.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unreachable { source, .. } => Self::NoXen {
                what: "xenstore",
                source,
            },
            other => Self::Store(other),
        }
    }
}

impl OpenError {
    /// For `map_err`: a failed system call, said in words.
    pub(crate) fn system<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::System {
            what,
            source: error.into(),
        }
    }
}

/// Why a channel no longer carries bytes.
#[derive(Debug, Error)]
pub enum StreamError {
    /// The peer left, and everything it sent has been read.
    #[error("the peer closed the channel")]
    Closed,
    /// The peer wrote indices that no honest peer writes.
    #[error("the peer corrupted the channel: {0}")]
    Corrupt(&'static str),
    /// The deadline passed first.
    #[error("the peer did not keep up in time")]
    TimedOut,
    /// A call into the system failed.
    #[error("the channel failed")]
    Io(#[from] io::Error),
}

impl From<nix::Error> for StreamError {
    fn from(error: nix::Error) -> Self {
        Self::Io(error.into())
    }
}

impl From<crate::ring::Impossible> for StreamError {
    fn from(found: crate::ring::Impossible) -> Self {
        Self::Corrupt(found.0)
    }
}

/// Why pages could not be shared, mapped or reached.
#[derive(Debug, Error)]
pub enum ShareError {
    /// No pages, or more than one share may hold.
    #[error("{asked} pages cannot be shared at once; 1 to {limit} can")]
    Count {
        /// How many were asked for.
        asked: usize,
        /// The limit.
        limit: usize,
    },
    /// The peer did not share what the references name.
    #[error("domain {owner} shares no such pages")]
    NoSuchPages {
        /// The domain whose pages were asked for.
        owner: DomId,
        /// The system's reason, if it gave one.
        source: Option<io::Error>,
    },
    /// An access beyond the shared pages.
    #[error("{length} bytes at {offset} lie outside of {size} shared bytes")]
    OutOfBounds {
        /// First byte of the access.
        offset: usize,
        /// Its length.
        length: usize,
        /// The size of the share.
        size: usize,
    },
    /// A call into the system failed.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}
