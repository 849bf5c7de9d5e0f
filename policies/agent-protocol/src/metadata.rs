// SPDX-License-Identifier: MIT OR Apache-2.0
//! The line before the body, as every socket service gets it (specification of qrexec, 1.15).

use crate::request::BadRequest;

/// The longest line that is looked for.
const LINE_MAX: usize = 512;

/// The line of a call from dom0 to itself.
pub(crate) fn line(service: &str) -> Vec<u8> {
    format!("{service} dom0 name dom0\0").into_bytes()
}

/// Splits the line off: the service's name, and the body.
///
/// The two words that a service in dom0 gets besides, and an empty argument, do not matter.
pub(crate) fn split(bytes: &[u8]) -> Result<(&str, &[u8]), BadRequest> {
    let end = bytes.iter().take(LINE_MAX).position(|byte| *byte == 0);
    let (line, body) = bytes.split_at(end.ok_or(BadRequest::NoMetadata)?);
    let line = std::str::from_utf8(line).map_err(|_| BadRequest::NoMetadata)?;
    let mut words = line.split(' ');
    let (service, source) = (words.next(), words.next());
    let (Some(service), Some(source)) = (service, source) else {
        return Err(BadRequest::NoMetadata);
    };
    if source != "dom0" {
        return Err(BadRequest::NotDom0);
    }
    Ok((service.strip_suffix('+').unwrap_or(service), &body[1..]))
}
