// SPDX-License-Identifier: MIT OR Apache-2.0
//! The document that tells of the domains.

use std::collections::BTreeMap;

use bulkhead_types::{Color, DomainName, DomainUuid, InvalidDomainName, Label};
use serde::Deserialize;

use crate::system::{Domain, System};

/// The document, as it is written.
#[derive(Deserialize)]
pub(crate) struct Document {
    domains: BTreeMap<String, Entry>,
}

/// Properties that are missing, null or empty count as unset: what a domain lacks makes rules
/// about it match less, never more.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    class: Option<String>,
    uuid: Option<String>,
    tags: Option<Vec<String>>,
    template_for_dispvms: Option<bool>,
    default_dispvm: Option<String>,
    power_state: Option<String>,
    label: Option<String>,
    icon: Option<String>,
    guivm: Option<String>,
    internal: Option<bool>,
    relayvm: Option<String>,
    transport_rpc: Option<String>,
}

impl TryFrom<Document> for System {
    type Error = InvalidDomainName;

    fn try_from(document: Document) -> Result<Self, InvalidDomainName> {
        // Some writers list each domain a second time under its UUID.
        let named = document.domains.into_iter();
        let named = named.filter(|(name, _)| !name.starts_with("uuid:"));
        let domain = |(name, entry): (String, Entry)| {
            let name_of = |text: Option<String>| text.and_then(|n| DomainName::parse(&n).ok());
            let uuid = entry.uuid.as_deref();
            let uuid = uuid.map(|text| text.strip_prefix("uuid:").unwrap_or(text));
            Ok(Domain {
                name: DomainName::parse(&name)?,
                class: entry.class.unwrap_or_default(),
                uuid: uuid.and_then(|text| DomainUuid::parse(text).ok()),
                tags: entry.tags.unwrap_or_default(),
                template_for_dispvms: entry.template_for_dispvms.unwrap_or(false),
                default_dispvm: name_of(entry.default_dispvm),
                power_state: entry.power_state.unwrap_or_default(),
                label: label(entry.label, entry.icon.as_deref()),
                icon: entry.icon.unwrap_or_default(),
                guivm: name_of(entry.guivm),
                internal: entry.internal.unwrap_or(false),
                relayvm: name_of(entry.relayvm),
                transport_rpc: entry.transport_rpc.filter(|rpc| !rpc.is_empty()),
            })
        };
        let domains: Result<Vec<_>, _> = named.map(domain).collect();
        Ok(Self::new(domains?))
    }
}

/// Other managers say the colour of a label instead of its name, and older ones nothing; the icon,
/// such as `appvm-red`, ends with the name then.
fn label(told: Option<String>, icon: Option<&str>) -> String {
    let told = told.filter(|text| !text.is_empty());
    let of_color = |color: Color| Label::ALL.into_iter().find(|label| label.color() == color);
    let known = match &told {
        Some(text) => text.parse().ok().and_then(of_color),
        None => icon
            .and_then(|icon| icon.rsplit('-').next())
            .and_then(|end| end.parse().ok()),
    };
    known.map_or(told.unwrap_or_default(), |label| label.name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn a_label_is_known_by_its_name_its_colour_or_the_icon() {
        let told = |text: &str, icon| label(Some(text.to_owned()), icon);
        assert_eq!(told("blue", Some("appvm-red")), "blue");
        assert_eq!(told("0x3465a4", Some("blue")), "blue");
        assert_eq!(told("0x123456", None), "0x123456");
        assert_eq!(told("teal", Some("appvm-red")), "teal");
        assert_eq!(told("", Some("dispvm-gray")), "gray");
        assert_eq!(label(None, Some("red")), "red");
        assert_eq!(label(None, Some("appvm-teal")), "");
        assert_eq!(label(None, None), "");
    }
}
