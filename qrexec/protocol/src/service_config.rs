// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configuration file of a service.
//!
//! One `key = value` per line, without leading blanks; `#` begins a comment on a line of its own
//! or after a value. Values are `true` or `false`, a decimal number without leading zeros, or text
//! in single quotes without escapes. CRLF and a missing last line break are fine. Everything else
//! is an error, and a call whose service has an error in its configuration fails; only an unknown
//! key is skipped.

use thiserror::Error;

/// What a service's configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceConfig {
    /// `wait-for-session`: run it only once the user has a session.
    pub wait_for_session: bool,
    /// `force-user`: who runs it, whatever was asked for.
    pub force_user: Option<String>,
    /// `skip-service-descriptor`: do not send a socket service its first line.
    pub skip_service_descriptor: bool,
    /// `exit-on-client-eof`: a socket call ends with the caller's input.
    pub exit_on_client_eof: bool,
    /// `exit-on-service-eof`: a socket call ends with the service's output.
    pub exit_on_service_eof: bool,
    /// Keys that are not known; worth a line in the log.
    pub unknown: Vec<String>,
}

/// A configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {what}")]
pub struct BadConfig {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

enum Value {
    Bool(bool),
    Number(u64),
    Text(String),
}

impl ServiceConfig {
    /// Reads a configuration file.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadConfig> {
        let mut config = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for (index, line) in bytes.split(|b| *b == b'\n').enumerate() {
            let bad = |what| BadConfig {
                line: index + 1,
                what,
            };
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let line = std::str::from_utf8(line).map_err(|_| bad("not UTF-8"))?;
            let (key, value) = entry(line).map_err(bad)?;
            if seen.contains(&key) {
                return Err(bad("the key stands a second time"));
            }
            seen.push(key);
            config.set(key, value).map_err(bad)?;
        }
        let flags = config.skip_service_descriptor
            || config.exit_on_client_eof
            || config.exit_on_service_eof;
        if flags && config.force_user.is_some() {
            let what = "force-user does not go with options for sockets";
            return Err(BadConfig {
                line: seen.len(),
                what,
            });
        }
        Ok(config)
    }

    fn set(&mut self, key: &str, value: Value) -> Result<(), &'static str> {
        let flag = |value: Value| match value {
            Value::Bool(flag) => Ok(flag),
            _ => Err("the value has to be true or false"),
        };
        match key {
            "wait-for-session" => {
                self.wait_for_session = match value {
                    Value::Number(number @ (0 | 1)) => number == 1,
                    other => flag(other)?,
                }
            }
            "force-user" => match value {
                Value::Text(user) if !user.is_empty() => self.force_user = Some(user),
                _ => return Err("the value has to be a user in single quotes"),
            },
            "skip-service-descriptor" => self.skip_service_descriptor = flag(value)?,
            "exit-on-client-eof" => self.exit_on_client_eof = flag(value)?,
            "exit-on-service-eof" => self.exit_on_service_eof = flag(value)?,
            other => self.unknown.push(other.to_owned()),
        }
        Ok(())
    }
}

fn entry(line: &str) -> Result<(&str, Value), &'static str> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let end = line.find(|c| !legal(c)).unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    if !key.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err("a line begins with a key");
    }
    let rest = rest
        .trim_start_matches([' ', '\t'])
        .strip_prefix('=')
        .ok_or("no `=` after the key")?;
    let rest = rest.trim_start_matches([' ', '\t']);
    let (value, rest) = value(rest)?;
    let rest = rest.trim_start_matches([' ', '\t']);
    if rest.is_empty() || rest.starts_with('#') {
        Ok((key, value))
    } else {
        Err("something stands after the value")
    }
}

fn value(text: &str) -> Result<(Value, &str), &'static str> {
    if let Some(quoted) = text.strip_prefix('\'') {
        let (inside, rest) = quoted.split_once('\'').ok_or("the quote is not closed")?;
        if inside.contains(|c: char| c.is_control() && c != '\t') || rest.starts_with('\'') {
            return Err("the text in quotes is not plain");
        }
        return Ok((Value::Text(inside.to_owned()), rest));
    }
    let end = text.find([' ', '\t', '#']).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let value = match word {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => {
            let digits = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
            if !digits || (word.len() > 1 && word.starts_with('0')) {
                return Err("a value is true, false, a number, or text in single quotes");
            }
            Value::Number(word.parse().map_err(|_| "the number is too large")?)
        }
    };
    Ok((value, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_documented_keys_are_read() {
        let config = ServiceConfig::parse(
            b"# who\r\nforce-user = 'root' # always\r\n\nwait-for-session=1\nnews = 3",
        )
        .unwrap();
        assert_eq!(
            config,
            ServiceConfig {
                force_user: Some("root".into()),
                wait_for_session: true,
                unknown: vec!["news".into()],
                ..ServiceConfig::default()
            }
        );
    }

    #[test]
    fn everything_else_is_an_error() {
        for bad in [
            "[section]",
            " force-user='a'",
            "force-user",
            "force-user=",
            "force-user=\"a\"",
            "force-user='''a'''",
            "force-user='a",
            "force-user='a' b",
            "force-user=true",
            "force-user=''",
            "wait-for-session=2",
            "wait-for-session=01",
            "wait-for-session='true'",
            "exit-on-client-eof=1",
            "exit-on-client-eof=true\nexit-on-client-eof=true",
            "a=b",
            "1a=1",
            "force-user='a\0'",
            "\0",
            "force-user='a'\nskip-service-descriptor=true",
            "a=99999999999999999999",
        ] {
            assert!(ServiceConfig::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_file_makes_the_reader_fall_over(bytes: Vec<u8>, text in "[a-z'=# \n\r0-9-]{0,60}") {
            let _ = ServiceConfig::parse(&bytes);
            let _ = ServiceConfig::parse(text.as_bytes());
        }
    }
}
