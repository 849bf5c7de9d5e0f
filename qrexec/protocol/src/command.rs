// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command string of an exec message.
//!
//! To a domain: `USER:[nogui:]QUBESRPC SERVICE[+ARGUMENT] SOURCE`; to dom0 the same with
//! ` TYPE TARGET` at the end, where TYPE is `name` or `keyword` and a keyword stands without its
//! `@`. Tokens are separated by exactly one space. What follows `USER:` and does not begin with
//! `QUBESRPC` is a command for the user's shell; only dom0 can cause one.

use bulkhead_types::{InvalidService, Service};
use thiserror::Error;

/// The word that stands for a domain's default user.
pub const DEFAULT_USER: &str = "DEFAULT";
const KEYWORD: &str = "QUBESRPC";
const NO_GUI: &str = "nogui:";

/// A command string, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// Who is to run it: what stands before the first `:`.
    pub user: String,
    /// Whether it needs no graphical session.
    pub nogui: bool,
    /// What is to be run.
    pub action: Action,
}

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A command for the user's shell, byte for byte.
    Shell(Vec<u8>),
    /// A service.
    Service(ServiceCall),
}

/// A call of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCall {
    /// The service.
    pub service: Service,
    /// The domain that calls.
    pub source: String,
    /// The target as the caller named it; only dom0 is told.
    pub target: Option<CallTarget>,
}

/// The target that a caller named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallTarget {
    /// A domain's name.
    Name(String),
    /// A keyword, without its `@`.
    Keyword(String),
}

/// A command string that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadCommand {
    /// No `:` ends the user.
    #[error("the command names no user")]
    NoUser,
    /// The text is not UTF-8 where it has to be.
    #[error("the command is not text")]
    NotText,
    /// `QUBESRPC` is not followed by two or four words.
    #[error("a call has two or four words after {KEYWORD}, each separated by one space")]
    Words,
    /// The service is misspelt.
    #[error(transparent)]
    Service(#[from] InvalidService),
    /// The type of the target is neither `name` nor `keyword`.
    #[error("a target is a name or a keyword")]
    TargetType,
}

impl CallTarget {
    /// The target from the text that a domain sent, where keywords begin with `@`.
    pub fn from_text(text: &str) -> Self {
        match text.strip_prefix('@') {
            Some(keyword) => Self::Keyword(keyword.to_owned()),
            None => Self::Name(text.to_owned()),
        }
    }

    /// The word that names its type.
    pub fn type_word(&self) -> &'static str {
        match self {
            Self::Name(_) => "name",
            Self::Keyword(_) => "keyword",
        }
    }

    /// The text without the `@` of a keyword.
    pub fn text(&self) -> &str {
        match self {
            Self::Name(text) | Self::Keyword(text) => text,
        }
    }
}

impl ServiceCall {
    /// What follows `QUBESRPC `: also the line that a socket service gets first, with a NUL.
    pub fn words(&self) -> String {
        let Self {
            service,
            source,
            target,
        } = self;
        match target {
            Some(target) => format!(
                "{service} {source} {} {}",
                target.type_word(),
                target.text()
            ),
            None => format!("{service} {source}"),
        }
    }

    fn parse(words: &str) -> Result<Self, BadCommand> {
        let words: Vec<&str> = words.split(' ').collect();
        if words.iter().any(|word| word.is_empty()) {
            return Err(BadCommand::Words);
        }
        let (service, source, target) = match words[..] {
            [service, source] => (service, source, None),
            [service, source, "name", target] => {
                (service, source, Some(CallTarget::Name(target.into())))
            }
            [service, source, "keyword", target] => {
                (service, source, Some(CallTarget::Keyword(target.into())))
            }
            [_, _, _, _] => return Err(BadCommand::TargetType),
            _ => return Err(BadCommand::Words),
        };
        Ok(Self {
            service: Service::parse(service)?,
            source: source.to_owned(),
            target,
        })
    }
}

impl CommandLine {
    /// Takes a command string apart.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadCommand> {
        let colon = bytes
            .iter()
            .position(|b| *b == b':')
            .ok_or(BadCommand::NoUser)?;
        let user = std::str::from_utf8(&bytes[..colon]).map_err(|_| BadCommand::NotText)?;
        if user.is_empty() {
            return Err(BadCommand::NoUser);
        }
        let rest = &bytes[colon + 1..];
        let (nogui, rest) = match rest.strip_prefix(NO_GUI.as_bytes()) {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let action = match rest.strip_prefix(KEYWORD.as_bytes()) {
            Some(call) => {
                let call = call.strip_prefix(b" ").ok_or(BadCommand::Words)?;
                let words = std::str::from_utf8(call).map_err(|_| BadCommand::NotText)?;
                Action::Service(ServiceCall::parse(words)?)
            }
            None => Action::Shell(rest.to_vec()),
        };
        Ok(Self {
            user: user.to_owned(),
            nogui,
            action,
        })
    }

    /// The command string.
    pub fn format(&self) -> Vec<u8> {
        let nogui = if self.nogui { NO_GUI } else { "" };
        let head = format!("{}:{nogui}", self.user).into_bytes();
        match &self.action {
            Action::Shell(command) => [head, command.clone()].concat(),
            Action::Service(call) => {
                [head, format!("{KEYWORD} {}", call.words()).into_bytes()].concat()
            }
        }
    }
}

/// The command with the word `DEFAULT` at its start replaced by `user`.
pub fn with_default_user(command: &[u8], user: &str) -> Vec<u8> {
    match command.strip_prefix(DEFAULT_USER.as_bytes()) {
        Some(rest) if rest.first() == Some(&b':') => [user.as_bytes(), rest].concat(),
        _ => command.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_call_to_a_domain_has_two_words_and_one_to_dom0_has_four() {
        let call = |text: &str| match CommandLine::parse(text.as_bytes()).unwrap().action {
            Action::Service(call) => call,
            Action::Shell(_) => panic!("a call"),
        };
        let to_domain = call("user:QUBESRPC qubes.VMExec+ls+-l work");
        assert_eq!(to_domain.words(), "qubes.VMExec+ls+-l work");
        assert_eq!(to_domain.target, None);
        let to_dom0 = call("DEFAULT:nogui:QUBESRPC a work keyword adminvm");
        assert_eq!(to_dom0.target, Some(CallTarget::Keyword("adminvm".into())));
    }

    #[test]
    fn what_is_no_call_is_a_shell_command_and_what_is_nearly_one_is_an_error() {
        let parse = |text: &str| CommandLine::parse(text.as_bytes());
        let shell = parse("user:echo a:b").unwrap();
        assert_eq!(shell.action, Action::Shell(b"echo a:b".to_vec()));
        for (bad, why) in [
            ("echo", BadCommand::NoUser),
            (":echo", BadCommand::NoUser),
            ("user:QUBESRPC", BadCommand::Words),
            ("user:QUBESRPCx a b", BadCommand::Words),
            ("user:QUBESRPC a", BadCommand::Words),
            ("user:QUBESRPC a  b", BadCommand::Words),
            ("user:QUBESRPC a b ", BadCommand::Words),
            ("user:QUBESRPC a b name", BadCommand::Words),
            ("user:QUBESRPC a b name c d", BadCommand::Words),
            ("user:QUBESRPC a b tag c", BadCommand::TargetType),
        ] {
            assert_eq!(parse(bad), Err(why), "{bad}");
        }
        assert!(matches!(
            parse("user:QUBESRPC a/b c"),
            Err(BadCommand::Service(_))
        ));
    }

    #[test]
    fn only_the_whole_word_stands_for_the_default_user() {
        assert_eq!(with_default_user(b"DEFAULT:ls", "ann"), b"ann:ls");
        assert_eq!(with_default_user(b"DEFAULTX:ls", "ann"), b"DEFAULTX:ls");
        assert_eq!(
            with_default_user(b"root:DEFAULT:ls", "ann"),
            b"root:DEFAULT:ls"
        );
    }

    proptest! {
        #[test]
        fn what_parses_formats_to_the_same(text in "[a-z]{1,3}:(nogui:)?(QUBESRPC )?[a-z+]{1,5} [a-z]{1,3}( name [a-z])?") {
            if let Ok(command) = CommandLine::parse(text.as_bytes()) {
                prop_assert_eq!(command.format(), text.into_bytes());
            }
        }

        #[test]
        fn no_bytes_make_the_parser_fall_over(bytes: Vec<u8>) {
            let _ = CommandLine::parse(&bytes);
            let _ = CommandLine::parse(&[b"u:QUBESRPC ", &bytes[..]].concat());
        }
    }
}
