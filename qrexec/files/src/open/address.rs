// SPDX-License-Identifier: GPL-3.0-or-later
//! Addresses of pages in the web (`qubes.OpenURL`): one line, both sides.

use std::io::{self, Read, Write as _};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use thiserror::Error;

use super::viewer::ViewError;
use crate::call::{Call, CannotCall, Target};
use crate::report::{self, NO_SERVICE, came_to_nothing, failure};

const SERVICE: &str = "qubes.OpenURL";
const SCHEMES: [&str; 3] = ["http://", "https://", "ftp://"];
/// The most bytes of an address; browsers take little more.
pub const ADDRESS_MAX: usize = 8192;
/// What shows a page, in the order of trying.
const BROWSERS: [&str; 4] = ["x-www-browser", "firefox-esr", "firefox", "xdg-open"];

/// The address of a page: `http`, `https` or `ftp`, and nothing but visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(String);

/// What is no [`Address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadAddress {
    /// Another scheme, or none.
    #[error("only addresses that begin with http://, https:// or ftp:// are opened")]
    Scheme,
    /// White space, control characters, or characters that an address has to write as %HH.
    #[error("an address may hold visible ASCII characters only")]
    Character,
    /// Longer than [`ADDRESS_MAX`].
    #[error("the address is longer than {ADDRESS_MAX} bytes")]
    TooLong,
    /// Nothing after the scheme.
    #[error("the address names no host")]
    NoHost,
}

impl Address {
    /// Whether a text is meant as an address, be it a good one, and not as the name of a file.
    pub fn looks_like(text: &str) -> bool {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.as_bytes());
        let sign = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'+';
        scheme.is_some_and(|scheme| {
            scheme.first().is_some_and(u8::is_ascii_alphabetic) && scheme.iter().all(sign)
        })
    }

    /// Checks an address.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        if text.len() > ADDRESS_MAX {
            return Err(BadAddress::TooLong);
        }
        let mut schemes = SCHEMES.iter();
        let scheme = schemes.find(|scheme| has_prefix(text, scheme));
        let scheme = scheme.ok_or(BadAddress::Scheme)?;
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadAddress::Character);
        }
        match text.as_bytes().get(scheme.len()) {
            None | Some(b'/') => Err(BadAddress::NoHost),
            Some(_) => Ok(Self(text.to_owned())),
        }
    }

    /// Reads the one line that a caller sends; what follows it does not count.
    pub fn read(input: impl Read) -> io::Result<Self> {
        let mut bytes = Vec::new();
        input.take(ADDRESS_MAX as u64 + 2).read_to_end(&mut bytes)?;
        let line = bytes
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        let text =
            std::str::from_utf8(line).map_err(|_| io::Error::other(BadAddress::Character))?;
        Self::parse(text).map_err(io::Error::other)
    }

    /// Shows the page in this session's browser and waits until that has ended.
    pub fn show(&self) -> Result<ExitStatus, ViewError> {
        let mut absent = io::Error::from(io::ErrorKind::NotFound);
        for browser in BROWSERS {
            let mut command = Command::new(browser);
            match command.arg(&self.0).stdin(Stdio::null()).status() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => absent = error,
                Err(source) => {
                    return Err(ViewError::Start {
                        viewer: browser.to_owned(),
                        source,
                    });
                }
                Ok(status) => return Ok(status),
            }
        }
        Err(ViewError::Start {
            viewer: format!("one of {}", BROWSERS.join(", ")),
            source: absent,
        })
    }
}

fn has_prefix(text: &str, scheme: &str) -> bool {
    let start = text.get(..scheme.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

/// Opens the page in `target` and waits; gives the browser's exit code.
pub fn open_address_elsewhere(address: &Address, target: &Target) -> ExitCode {
    match ask(address, target) {
        Ok(code) if came_to_nothing(code) => {
            report::no_call(format_args!("the page is not open in {target}"), code);
            ExitCode::from(code)
        }
        Ok(NO_SERVICE) => {
            report::error(format_args!(
                "{target} has no service {SERVICE}, or no browser"
            ));
            ExitCode::from(NO_SERVICE)
        }
        Ok(code) => ExitCode::from(code),
        Err(error) => failure(&error),
    }
}

fn ask(address: &Address, target: &Target) -> Result<u8, CannotCall> {
    let (mut input, mut output, ending) = Call::begin(target, SERVICE)?.split();
    // A call that was refused takes no input; its code tells why.
    let _ = writeln!(input, "{}", address.0);
    drop(input);
    // The service says nothing; whatever comes is not for a terminal.
    let _ = io::copy(&mut output, &mut io::sink());
    ending.code()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_schemes_are_addresses() {
        for good in [
            "http://a",
            "https://example.org/a?b=c#d",
            "FTP://host/x",
            "https://[::1]/",
        ] {
            assert!(Address::parse(good).is_ok(), "{good}");
            assert!(Address::looks_like(good));
        }
        for (bad, why) in [
            ("", BadAddress::Scheme),
            ("file:///etc/passwd", BadAddress::Scheme),
            ("javascript://%0aalert(1)", BadAddress::Scheme),
            ("--help", BadAddress::Scheme),
            ("http:/a", BadAddress::Scheme),
            ("http://", BadAddress::NoHost),
            ("http:///etc/passwd", BadAddress::NoHost),
            ("http://a b", BadAddress::Character),
            ("http://a\u{1b}[2J", BadAddress::Character),
            ("http://ä", BadAddress::Character),
        ] {
            assert_eq!(Address::parse(bad), Err(why), "{bad}");
        }
        for (text, meant) in [
            ("file:///etc/passwd", true),
            ("git+ssh://a", true),
            ("://a", false),
            ("1st://a", false),
            ("folder/http://a", false),
            ("a:b", false),
        ] {
            assert_eq!(Address::looks_like(text), meant, "{text}");
        }
        let long = format!("http://{}", "a".repeat(ADDRESS_MAX));
        assert_eq!(Address::parse(&long), Err(BadAddress::TooLong));
    }

    #[test]
    fn one_line_is_read() {
        let read = |bytes: &[u8]| Address::read(bytes).map(|address| address.0);
        assert_eq!(read(b"http://a\nrm -rf /\n").unwrap(), "http://a");
        assert_eq!(read(b"http://a").unwrap(), "http://a");
        for bad in [&b""[..], b"\n", b"http://a\0\n", b"\xff\n", &[b'a'; 9000]] {
            assert!(read(bad).is_err());
        }
    }
}
