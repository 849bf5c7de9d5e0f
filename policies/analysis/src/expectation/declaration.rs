// SPDX-License-Identifier: GPL-3.0-or-later
//! The domains that a file of expectations declares.

use bulkhead_policy::{Diagnostic, Domain, nearest};
use bulkhead_policy_text::Word;
use bulkhead_types::DomainName;

const PROPERTIES: [&str; 6] = [
    "default_dispvm",
    "guivm",
    "relayvm",
    "tags",
    "transport_rpc",
    "uuid",
];
const FLAGS: [&str; 3] = ["template_for_dispvms", "halted", "internal"];

/// Dom0, which is there without being declared.
pub(super) fn dom0() -> Domain {
    Domain {
        guivm: None,
        ..Domain::new(DomainName::dom0(), "AdminVM")
    }
}

/// Reads `domain NAME CLASS [PROPERTY …]`.
pub(super) fn domain(first: Word<'_>, rest: &[Word<'_>]) -> Result<Domain, Diagnostic> {
    let [name, class, properties @ ..] = rest else {
        return Err(Diagnostic::error(
            first.span,
            "expected `domain NAME CLASS`",
        ));
    };
    let wrong = |word: Word<'_>, why: String| Diagnostic::error(word.span, why);
    let parsed = DomainName::parse(name.text).map_err(|e| wrong(*name, e.to_string()))?;
    let mut domain = Domain::new(parsed, class.text);
    for word in properties {
        match word.text.split_once('=').unwrap_or((word.text, "")) {
            ("template_for_dispvms", "") => domain.template_for_dispvms = true,
            ("halted", "") => domain.power_state = "Halted".to_owned(),
            ("internal", "") => domain.internal = true,
            ("tags", tags) => domain.tags = tags.split(',').map(str::to_owned).collect(),
            ("transport_rpc", rpc) if !rpc.is_empty() => {
                domain.transport_rpc = Some(rpc.to_owned());
            }
            // Nobody can be asked on behalf of a domain that is on no screen.
            ("guivm", "") => domain.guivm = None,
            (key @ ("default_dispvm" | "guivm" | "relayvm"), other) => {
                let other = DomainName::parse(other).map_err(|e| wrong(*word, e.to_string()))?;
                match key {
                    "default_dispvm" => domain.default_dispvm = Some(other),
                    "guivm" => domain.guivm = Some(other),
                    _ => domain.relayvm = Some(other),
                }
            }
            ("uuid", uuid) => {
                domain.uuid = Some(
                    uuid.parse()
                        .map_err(|_| wrong(*word, "expected a UUID in lower case".to_owned()))?,
                );
            }
            (key, _) => {
                let message = format!("a domain has no property `{key}`");
                let known = PROPERTIES.into_iter().chain(FLAGS);
                return Err(Diagnostic::error(word.span, message).did_you_mean(nearest(key, known)));
            }
        }
    }
    Ok(domain)
}
