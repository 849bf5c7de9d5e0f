// SPDX-License-Identifier: GPL-3.0-or-later
//! Services that are links to `/dev/tcp`, `/dev/tcp/HOST` or `/dev/tcp/HOST/PORT`.
//!
//! What the link leaves open comes from the call's argument: the port alone, or host and port with
//! the last `+` between them, where `+` in the host stands for `:`. Only numeric addresses count,
//! so no name service can be asked.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use bulkhead_types::Service;
use thiserror::Error;

/// What a link fixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpLink {
    host: Option<String>,
    port: Option<String>,
}

/// The address cannot be made out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum BadAddress {
    #[error("the link is not /dev/tcp, /dev/tcp/HOST or /dev/tcp/HOST/PORT")]
    Link,
    #[error("the link fixes host and port, so the call takes no argument")]
    UnexpectedArgument,
    #[error("the argument has to name the port, or host and port with a `+` between them")]
    Argument,
    #[error("the host has to be a numeric address")]
    Host,
    #[error("the port has to be a number from 1 to 65535")]
    Port,
}

impl TcpLink {
    /// Reads a link's text; `None` if it has nothing to do with TCP.
    pub(crate) fn read(text: &Path) -> Option<Result<Self, BadAddress>> {
        let rest = text.to_str()?.strip_prefix("/dev/tcp")?;
        if rest.is_empty() {
            return Some(Ok(Self {
                host: None,
                port: None,
            }));
        }
        let rest = rest.strip_prefix('/')?;
        let (host, port) = match rest.split_once('/') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        };
        let bad = host.is_empty() || port.is_some_and(|port| port.is_empty() || port.contains('/'));
        let link = Self {
            host: Some(host.to_owned()),
            port: port.map(str::to_owned),
        };
        Some(if bad { Err(BadAddress::Link) } else { Ok(link) })
    }

    /// The address that a call of `service` means.
    pub(crate) fn address(&self, service: &Service) -> Result<SocketAddr, BadAddress> {
        let argument = service.argument().map_or("", |argument| argument.as_str());
        let (host, port) = match (&self.host, &self.port) {
            (Some(_), Some(_)) if !argument.is_empty() => {
                return Err(BadAddress::UnexpectedArgument);
            }
            (Some(host), Some(port)) => (host.clone(), port.as_str()),
            (Some(host), None) => (host.clone(), argument),
            _ => {
                let (host, port) = argument.rsplit_once('+').ok_or(BadAddress::Argument)?;
                if host.contains('_') {
                    return Err(BadAddress::Host);
                }
                (host.replace('+', ":"), port)
            }
        };
        let host: IpAddr = host.parse().map_err(|_| BadAddress::Host)?;
        let plain = port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0');
        let port = port
            .parse()
            .ok()
            .filter(|_| plain)
            .ok_or(BadAddress::Port)?;
        Ok(SocketAddr::new(host, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(link: &str, service: &str) -> Result<String, BadAddress> {
        let link = TcpLink::read(Path::new(link)).unwrap()?;
        link.address(&Service::parse(service).unwrap())
            .map(|address| address.to_string())
    }

    #[test]
    fn the_argument_completes_the_link() {
        assert_eq!(
            address("/dev/tcp/127.0.0.1/80", "a").unwrap(),
            "127.0.0.1:80"
        );
        assert_eq!(address("/dev/tcp/::1", "a+443").unwrap(), "[::1]:443");
        assert_eq!(address("/dev/tcp", "a+10.0.0.1+22").unwrap(), "10.0.0.1:22");
        assert_eq!(address("/dev/tcp", "a+++1+22").unwrap(), "[::1]:22");
    }

    #[test]
    fn what_is_unclear_is_refused() {
        use BadAddress as E;
        for (link, service, why) in [
            ("/dev/tcp/", "a", E::Link),
            ("/dev/tcp/h/", "a", E::Link),
            ("/dev/tcp/127.0.0.1/80", "a+80", E::UnexpectedArgument),
            ("/dev/tcp/127.0.0.1", "a", E::Port),
            ("/dev/tcp/127.0.0.1", "a+080", E::Port),
            ("/dev/tcp/127.0.0.1", "a+65536", E::Port),
            ("/dev/tcp/localhost", "a+80", E::Host),
            ("/dev/tcp", "a+80", E::Argument),
            ("/dev/tcp", "a++80", E::Host),
        ] {
            assert_eq!(address(link, service), Err(why), "{link} {service}");
        }
        assert_eq!(TcpLink::read(Path::new("/dev/tcpx")), None);
    }
}
