// SPDX-License-Identifier: MIT OR Apache-2.0
//! A call that wants a decision.

use bulkhead_types::{DomainRef, Service};
use thiserror::Error;

/// The target as the caller wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Requested {
    /// Nothing, or `@default`: policy shall choose.
    Default,
    /// `dom0`, `@adminvm` or dom0's UUID.
    AdminVm,
    /// A domain, which may or may not exist.
    Domain(DomainRef),
    /// A text that no domain can be called by; policy sees `@default`, as for any name that
    /// does not exist.
    Unknown(String),
    /// `@dispvm`: a new disposable of the caller's own default.
    DispVm,
    /// `@dispvm:…`: a new disposable of a template.
    DispVmOf(DomainRef),
}

/// A target that no call may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{}` is not a target a call can ask for", .0.escape_debug())]
pub struct InvalidTarget(pub String);

impl Requested {
    /// Reads what a caller asked for.
    ///
    /// Fails for keywords that only rules may use and for words that begin with `@` and
    /// mean nothing: such a call is to be refused.
    pub fn parse(text: &str) -> Result<Self, InvalidTarget> {
        let refused = || InvalidTarget(text.to_owned());
        if let Some(template) = text.strip_prefix("@dispvm:") {
            let template = DomainRef::parse(template).map_err(|_| refused())?;
            return Ok(Self::DispVmOf(template));
        }
        match text {
            "" | "@default" => Ok(Self::Default),
            "@dispvm" => Ok(Self::DispVm),
            "@adminvm" => Ok(Self::AdminVm),
            _ if text.starts_with('@') || text == "*" => Err(refused()),
            _ => Ok(match DomainRef::parse(text) {
                Ok(domain) if domain.is_dom0() => Self::AdminVm,
                Ok(domain) => Self::Domain(domain),
                Err(_) => Self::Unknown(text.to_owned()),
            }),
        }
    }
}

/// A call that wants a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who asks.
    pub source: DomainRef,
    /// What for.
    pub service: Service,
    /// Of whom.
    pub target: Requested,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_may_not_use_the_words_of_rules() {
        for bad in [
            "*",
            "@anyvm",
            "@tag:x",
            "@type:AppVM",
            "@dispvm:",
            "@dispvm:@tag:x",
            "@x",
            "@",
        ] {
            assert_eq!(
                Requested::parse(bad),
                Err(InvalidTarget(bad.into())),
                "{bad}"
            );
        }
    }

    #[test]
    fn dom0_has_three_spellings() {
        for dom0 in [
            "dom0",
            "@adminvm",
            "uuid:00000000-0000-0000-0000-000000000000",
        ] {
            assert_eq!(Requested::parse(dom0), Ok(Requested::AdminVm), "{dom0}");
            assert!(DomainRef::parse(dom0).unwrap().is_dom0());
        }
    }

    #[test]
    fn nothing_asked_for_is_the_default() {
        assert_eq!(Requested::parse(""), Ok(Requested::Default));
        assert_eq!(Requested::parse("@default"), Ok(Requested::Default));
        assert_eq!(
            Requested::parse("a b"),
            Ok(Requested::Unknown("a b".into()))
        );
    }
}
