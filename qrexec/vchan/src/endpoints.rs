// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where channels and shared pages come from.

use std::env;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use bulkhead_types::{DomId, Port};
use bulkhead_xen::store::{Store, XenStore};

use crate::local::{self, OwnPages, PeerPages};
use crate::patience::Patience;
use crate::ring::{Orders, RING_MAX};
use crate::ringed::{Link, RingChannel};
use crate::socket::SocketChannel;
use crate::stream::Channel;
use crate::xen;
use crate::{HeldPages, MappedPages, OpenError, PeerWatch, ShareError, SharedPages, Vchan};

/// How domains reach each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Through Xen: grants, event channels, xenstore.
    Xen,
    /// Through files and sockets in a folder that all local domains see.
    Local(PathBuf),
    /// Through plain Unix sockets in a folder, as Qubes' vchan simulator does.
    Socket(PathBuf),
}

/// The sizes of a channel's rings in bytes, as the server sees them.
///
/// They are rounded up to a power of two of at least a page, or to 1024 and 2048 when both
/// are as small as that. The limit is [`RING_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSizes {
    /// What the client may have under way to the server (`read_min` of libxenvchan).
    pub receive: usize,
    /// What the server may have under way to the client (`write_min`).
    pub send: usize,
}

impl RingSizes {
    /// Both rings of the same size.
    pub const fn both(size: usize) -> Self {
        Self {
            receive: size,
            send: size,
        }
    }
}

/// This domain's ability to open channels to others.
#[derive(Clone, Debug)]
pub struct Endpoints {
    transport: Transport,
    own: DomId,
}

/// Says which transport is in use: `xen`, `local:FOLDER` or `socket:FOLDER`.
const TRANSPORT: &str = "BULKHEAD_VCHAN";
/// The simulator's folder, which also selects it.
const SOCKET_FOLDER: &str = "VCHAN_SOCKET_DIR";
/// The own domain id where there is no Xen to ask.
const OWN_ID: &str = "VCHAN_DOMAIN";

impl Endpoints {
    /// Takes transport and own id from the environment.
    ///
    /// `BULKHEAD_VCHAN` is `xen`, `local:FOLDER` or `socket:FOLDER`. Without it,
    /// `VCHAN_SOCKET_DIR` means `socket:` that folder, and otherwise it is Xen. The own id is
    /// `VCHAN_DOMAIN` (default 0), or under Xen what xenstore says.
    pub fn from_environment() -> Result<Self, OpenError> {
        let transport = chosen_transport(
            text_of(TRANSPORT),
            env::var_os(SOCKET_FOLDER).map(PathBuf::from),
        )?;
        let own = match (&transport, text_of(OWN_ID)) {
            (Transport::Xen, _) => own_id_under_xen()?,
            (_, None) => DomId::DOM0,
            (_, Some(text)) => text.parse().map_err(|_| OpenError::Environment {
                variable: OWN_ID,
                value: text,
                expected: "a domain id",
            })?,
        };
        Self::new(transport, own)
    }

    /// Channels of the domain `own` over `transport`.
    ///
    /// Fails when the folder of a local transport is missing.
    pub fn new(transport: Transport, own: DomId) -> Result<Self, OpenError> {
        if let Transport::Local(folder) | Transport::Socket(folder) = &transport {
            let unusable = |source| OpenError::Folder {
                folder: folder.clone(),
                source,
            };
            if !std::fs::metadata(folder).map_err(unusable)?.is_dir() {
                return Err(unusable(std::io::ErrorKind::NotADirectory.into()));
            }
        }
        Ok(Self { transport, own })
    }

    /// The id of the domain this process is in.
    pub fn own_id(&self) -> DomId {
        self.own
    }

    /// The transport in use.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Announces a channel and returns at once, in [`crate::State::Waiting`].
    ///
    /// Bytes may be written before the client comes. A second announcement of the same
    /// channel replaces the first.
    pub fn serve(&self, client: DomId, port: Port, sizes: RingSizes) -> Result<Vchan, OpenError> {
        self.refuse_loopback(client)?;
        let orders = Orders::for_sizes(sizes).ok_or(OpenError::RingTooLarge {
            asked: sizes.receive.max(sizes.send),
            limit: RING_MAX,
        })?;
        match &self.transport {
            Transport::Xen => {
                let (end, link) = xen::serve(self.own, client, port, orders)?;
                Ok(Vchan::over(Channel::Ring(RingChannel::new(
                    end,
                    Link::Xen(Box::new(link)),
                ))))
            }
            Transport::Local(folder) => {
                let (end, link) = local::serve(folder, self.own, client, port, orders)?;
                Ok(Vchan::over(Channel::Ring(RingChannel::new(
                    end,
                    Link::Local(link),
                ))))
            }
            Transport::Socket(folder) => {
                let socket = SocketChannel::serve(folder, self.own, client, port, orders)?;
                Ok(Vchan::over(Channel::Socket(socket)))
            }
        }
    }

    /// Connects to a channel, waiting at most `timeout` (`None`: for ever) for its server.
    pub fn connect(
        &self,
        server: DomId,
        port: Port,
        timeout: Option<Duration>,
    ) -> Result<Vchan, OpenError> {
        self.connect_within(server, port, Patience::new(timeout, None))
    }

    /// Connects like [`Self::connect`] unless it is called off meanwhile: when `called_off` becomes
    /// readable.
    pub fn connect_unless(
        &self,
        server: DomId,
        port: Port,
        timeout: Option<Duration>,
        called_off: BorrowedFd<'_>,
    ) -> Result<Vchan, OpenError> {
        let patience = Patience::new(timeout, Some(called_off));
        match self.connect_within(server, port, patience) {
            Err(OpenError::TimedOut { server, port }) if patience.called_off().unwrap_or(false) => {
                Err(OpenError::CalledOff { server, port })
            }
            result => result,
        }
    }

    fn connect_within(
        &self,
        server: DomId,
        port: Port,
        patience: Patience<'_>,
    ) -> Result<Vchan, OpenError> {
        self.refuse_loopback(server)?;
        match &self.transport {
            Transport::Xen => {
                let (end, link) = xen::connect(server, self.own, port, patience)?;
                Ok(Vchan::over(Channel::Ring(RingChannel::new(
                    end,
                    Link::Xen(Box::new(link)),
                ))))
            }
            Transport::Local(folder) => {
                let (end, link) = local::connect(folder, server, self.own, port, patience)?;
                Ok(Vchan::over(Channel::Ring(RingChannel::new(
                    end,
                    Link::Local(link),
                ))))
            }
            Transport::Socket(folder) => {
                let socket = SocketChannel::connect(folder, server, self.own, port, patience)?;
                Ok(Vchan::over(Channel::Socket(socket)))
            }
        }
    }

    /// Makes pages that `peer` may read; they are zero at first.
    ///
    /// They live until the result is dropped, and on Xen until the peer has unmapped them
    /// too. At most [`crate::SHARE_MAX`] pages.
    pub fn share(&self, peer: DomId, pages: usize) -> Result<SharedPages, ShareError> {
        match &self.transport {
            Transport::Local(folder) | Transport::Socket(folder) => Ok(SharedPages::local(
                OwnPages::share(folder, self.own, peer, pages)?,
            )),
            Transport::Xen => SharedPages::xen(peer, pages),
        }
    }

    /// Maps pages that `peer` shared, read-only.
    ///
    /// The references must be those of one share, in its order; the local transports also
    /// take the first part of them.
    pub fn map(&self, peer: DomId, references: &[u32]) -> Result<MappedPages, ShareError> {
        self.hold(peer, references)?.map(peer)
    }

    /// Finds pages that `peer` shared, for this or another process to map; see [`Self::map`].
    pub fn hold(&self, peer: DomId, references: &[u32]) -> Result<HeldPages, ShareError> {
        match &self.transport {
            Transport::Local(folder) | Transport::Socket(folder) => Ok(HeldPages::local(
                PeerPages::map(folder, peer, self.own, references)?,
            )),
            Transport::Xen => HeldPages::xen(peer, references),
        }
    }

    /// Listens for the end of a whole domain, for channels that cannot ([`Vchan::keep_to_itself`]).
    ///
    /// The local transports need nobody for that: there a domain's end closes its channels.
    pub fn watch(&self, peer: DomId) -> Result<PeerWatch, OpenError> {
        match &self.transport {
            Transport::Local(_) | Transport::Socket(_) => Ok(PeerWatch::none()),
            Transport::Xen if self.own != DomId::DOM0 => Ok(PeerWatch::none()),
            Transport::Xen => PeerWatch::xen(peer),
        }
    }

    fn refuse_loopback(&self, peer: DomId) -> Result<(), OpenError> {
        if peer == self.own {
            Err(OpenError::Loopback(peer))
        } else {
            Ok(())
        }
    }
}

fn own_id_under_xen() -> Result<DomId, OpenError> {
    Ok(XenStore::open()?.own_id()?)
}

fn text_of(variable: &str) -> Option<String> {
    env::var_os(variable).map(|value| value.to_string_lossy().into_owned())
}

fn chosen_transport(
    chosen: Option<String>,
    simulator: Option<PathBuf>,
) -> Result<Transport, OpenError> {
    let Some(value) = chosen.filter(|value| !value.is_empty()) else {
        return Ok(simulator.map_or(Transport::Xen, Transport::Socket));
    };
    match value.split_once(':') {
        None if value == "xen" => Ok(Transport::Xen),
        Some(("local", folder)) if !folder.is_empty() => Ok(Transport::Local(folder.into())),
        Some(("socket", folder)) if !folder.is_empty() => Ok(Transport::Socket(folder.into())),
        _ => Err(OpenError::Environment {
            variable: TRANSPORT,
            value,
            expected: "`xen`, `local:FOLDER` or `socket:FOLDER`",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(value: &str) -> Result<Transport, OpenError> {
        chosen_transport(Some(value.to_owned()), Some("/simulator".into()))
    }

    #[test]
    fn the_environment_chooses_the_transport() {
        assert_eq!(chosen("xen").unwrap(), Transport::Xen);
        assert_eq!(
            chosen("local:/a:b").unwrap(),
            Transport::Local("/a:b".into())
        );
        assert_eq!(chosen("socket:/s").unwrap(), Transport::Socket("/s".into()));
        assert_eq!(chosen("").unwrap(), Transport::Socket("/simulator".into()));
        assert_eq!(chosen_transport(None, None).unwrap(), Transport::Xen);
    }

    #[test]
    fn a_transport_that_does_not_exist_is_named_with_what_does() {
        for bad in ["local", "local:", "kvm", "xen:0"] {
            let message = chosen(bad).unwrap_err().to_string();
            assert!(
                message.contains(bad) && message.contains("local:FOLDER"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_missing_folder_is_an_error_at_once() {
        let error = Endpoints::new(Transport::Local("/no/such/folder".into()), DomId::DOM0);
        assert!(matches!(error, Err(OpenError::Folder { .. })));
    }
}
