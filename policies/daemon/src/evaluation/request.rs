// SPDX-License-Identifier: GPL-3.0-or-later
//! What a caller asks: the line that every socket service gets, then two names.
//!
//! ```text
//! SERVICE+ASKED-ABOUT CALLER name|keyword TARGET \0 SOURCE \0 TARGET
//! ```

use bulkhead_types::{DomainName, SERVICE_DESCRIPTOR_MAX};
use thiserror::Error;

use super::Service;
use crate::wire::Question;

/// The most bytes after the line.
const BODY_MAX: usize = 96;
/// The most bytes of all.
pub const REQUEST_MAX: usize = SERVICE_DESCRIPTOR_MAX + 256 + BODY_MAX;
const SOURCE_MAX: usize = 31;
const TARGET_MAX: usize = 63;

/// A call that somebody wants to know about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who wants to know.
    pub caller: DomainName,
    service: String,
    source: String,
    target: String,
}

/// Bytes that ask nothing. The connection is closed without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadRequest {
    /// No line comes first, or it is about another service.
    #[error("what qrexec tells of the call is not as it should be")]
    Line,
    /// The service's argument names none.
    #[error("the argument has to name the service that is asked about")]
    NoService,
    /// Not two names with a NUL byte between them.
    #[error("expected SOURCE, a NUL byte and TARGET")]
    Names,
    /// A name that no domain or keyword can have.
    #[error("the names of source and target have 1 to 31 and 1 to 63 characters")]
    Name,
}

impl Asked {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// It is none of `service`.
    pub fn decode(service: Service, bytes: &[u8]) -> Result<Self, BadRequest> {
        let end = bytes.iter().position(|b| *b == 0).ok_or(BadRequest::Line)?;
        let line = std::str::from_utf8(&bytes[..end]).map_err(|_| BadRequest::Line)?;
        let mut words = line.split(' ');
        let (Some(called), Some(caller)) = (words.next(), words.next()) else {
            return Err(BadRequest::Line);
        };
        let caller = DomainName::parse(caller).map_err(|_| BadRequest::Line)?;
        let (called, about) = called.split_once('+').unwrap_or((called, ""));
        if called != service.name() {
            return Err(BadRequest::Line);
        }
        if about.is_empty() || about.starts_with('+') {
            return Err(BadRequest::NoService);
        }
        let body = &bytes[end + 1..];
        let names = std::str::from_utf8(body).map_err(|_| BadRequest::Names)?;
        let (source, target) = names.split_once('\0').ok_or(BadRequest::Names)?;
        Ok(Self {
            caller,
            service: about.to_owned(),
            source: name(source, SOURCE_MAX)?,
            target: name(target, TARGET_MAX)?,
        })
    }

    /// The call, as policy is asked about it.
    pub fn question(&self) -> Question {
        Question {
            source: self.source.clone(),
            intended_target: self.target.clone(),
            service_and_arg: self.service.clone(),
            requested_source: String::new(),
            assume_yes_for_ask: true,
            just_evaluate: true,
        }
    }
}

/// The alphabet of names and keywords (specification of qrexec, 1.12).
fn name(text: &str, most: usize) -> Result<String, BadRequest> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'@' | b':');
    match (1..=most).contains(&text.len()) && text.bytes().all(legal) {
        true => Ok(text.to_owned()),
        false => Err(BadRequest::Name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_a_service_and_two_domains() {
        let line = "policy.EvalSimple+qubes.Gpg+x sys-gui name dom0\0work\0vault";
        let asked = Asked::decode(Service::Simple, line.as_bytes()).unwrap();
        assert_eq!(asked.caller.as_str(), "sys-gui");
        let question = asked.question();
        assert_eq!(question.service_and_arg, "qubes.Gpg+x");
        assert_eq!(
            (&*question.source, &*question.intended_target),
            ("work", "vault")
        );
        assert!(question.assume_yes_for_ask && question.just_evaluate);
    }

    #[test]
    fn anything_else_asks_nothing() {
        use BadRequest as E;
        let read = |text: &str| Asked::decode(Service::Gui, text.as_bytes()).unwrap_err();
        let of = |argument: &str, body: &str| {
            read(&format!("policy.EvalGUI{argument} work name dom0\0{body}"))
        };
        assert_eq!(read(""), E::Line);
        assert_eq!(read("policy.EvalGUI+s\0a\0b"), E::Line);
        assert_eq!(read("policy.EvalSimple+s work name dom0\0a\0b"), E::Line);
        assert_eq!(of("", "a\0b"), E::NoService);
        assert_eq!(of("+", "a\0b"), E::NoService);
        assert_eq!(of("++s", "a\0b"), E::NoService);
        assert_eq!(of("+s", "a"), E::Names);
        assert_eq!(of("+s", "a\0"), E::Name);
        assert_eq!(of("+s", "\0b"), E::Name);
        assert_eq!(of("+s", "a\0b\0"), E::Name);
        assert_eq!(of("+s", "a\0b c"), E::Name);
        assert_eq!(of("+s", &format!("{}\0b", "a".repeat(32))), E::Name);
        assert_eq!(of("+s", &format!("a\0{}", "b".repeat(64))), E::Name);
    }
}
