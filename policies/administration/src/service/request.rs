// SPDX-License-Identifier: GPL-3.0-or-later
//! What a domain asks for: service and argument from the call, the rest from its standard input.

use std::fmt;
use std::io::{self, Read};

use super::refusal::Refusal;
use super::register::{ARGUMENT_MAX, Registered};

/// The most bytes of a file that a domain may hand over.
pub const CONTENT_MAX: usize = 1 << 20;
/// `sha256:` and 64 digits.
const TOKEN_MAX: usize = 71;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The names of all policy files, or of all files to include.
    List {
        /// Those to include.
        include: bool,
    },
    /// A file and the token that names its content.
    Get(File),
    /// Another content for a file.
    Replace {
        /// The file.
        file: File,
        /// What it has to be before.
        token: Token,
        /// What it shall be.
        content: Vec<u8>,
    },
    /// No such file any more.
    Remove {
        /// The file.
        file: File,
        /// What it has to be before.
        token: Token,
    },
    /// Calls with an argument that was handed out.
    Register(Registered),
    /// Which files are about a service.
    GetFiles {
        /// The service.
        service: String,
    },
}

/// A file of the policy directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    include: bool,
    name: String,
}

/// What a file has to be for a change to be meant for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// Anything, or missing.
    Any,
    /// Missing.
    New,
    /// This content: `sha256:` and its digest.
    Sha256(String),
}

impl Request {
    /// Reads a request. `call` is `SERVICE` or `SERVICE+ARGUMENT`, `target` the domain that the
    /// caller asked for, where it named one.
    ///
    /// # Errors
    ///
    /// It is none of the services, or makes no sense as one.
    pub fn read(call: &str, target: Option<&str>, input: impl Read) -> Result<Self, Refusal> {
        let (service, argument) = call.split_once('+').unwrap_or((call, ""));
        let (include, verb) = match service.strip_prefix("policy.include.") {
            Some(verb) => (true, verb),
            None => (false, service.strip_prefix("policy.").unwrap_or_default()),
        };
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+');
        if !argument.bytes().all(legal) {
            let argument = argument.escape_debug();
            return Err(Refusal::Protocol(format!(
                "Invalid argument: `{argument}`; letters, digits, `.`, `_`, `-` and `+` may stand in it"
            )));
        }
        match verb {
            "List" if !argument.is_empty() => Err(Refusal::protocol("Unexpected argument")),
            "List" => {
                nothing_in(input)?;
                Ok(Self::List { include })
            }
            "Get" => {
                nothing_in(input)?;
                Ok(Self::Get(File::named(include, argument)?))
            }
            "Replace" => {
                let file = File::named(include, argument)?;
                let mut bytes = read_at_most(input, TOKEN_MAX + 1 + CONTENT_MAX)?;
                let end = bytes.iter().position(|b| *b == b'\n');
                let end = end.ok_or_else(|| {
                    Refusal::protocol("Payload needs to include first line with token")
                })?;
                let content = bytes.split_off(end + 1);
                bytes.truncate(end);
                let token = Token::parse(&bytes)?;
                Ok(Self::Replace {
                    file,
                    token,
                    content,
                })
            }
            "Remove" => {
                let file = File::named(include, argument)?;
                let token = Token::parse(&read_at_most(input, TOKEN_MAX)?)?;
                Ok(Self::Remove { file, token })
            }
            "GetFiles" if !include => {
                nothing_in(input)?;
                if argument.is_empty() {
                    return Err(Refusal::protocol("Service cannot be empty"));
                }
                if argument.contains('+') {
                    return Err(Refusal::Protocol(format!(
                        "Service `{argument}` contains invalid characters: `+`"
                    )));
                }
                Ok(Self::GetFiles {
                    service: argument.to_owned(),
                })
            }
            "RegisterArgument" if !include => {
                let input = read_at_most(input, ARGUMENT_MAX)?;
                Ok(Self::Register(Registered::read(argument, target, &input)?))
            }
            _ => Err(Refusal::Protocol(format!(
                "unrecognized method: {}",
                service.escape_debug()
            ))),
        }
    }
}

/// For services that are told nothing: input would mean that the caller wants something else.
fn nothing_in(input: impl Read) -> Result<(), Refusal> {
    match read_at_most(input, 0) {
        Err(Refusal::Protocol(_)) => Err(Refusal::protocol("Unexpected payload")),
        other => other.map(|_| ()),
    }
}

fn read_at_most(input: impl Read, most: usize) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let read = input.take(most as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error: io::Error| Refusal::Internal(format!("cannot read: {error}")))?;
    match bytes.len() > most {
        true => Err(Refusal::protocol("the input is too long")),
        false => Ok(bytes),
    }
}

impl File {
    pub(super) fn named(include: bool, name: &str) -> Result<Self, Refusal> {
        // Without dots, so no name hides a file, leaves the directory or has another ending.
        let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        // What policy files may be called besides (specification, 2.1).
        let lower = include || !name.bytes().any(|b| b.is_ascii_uppercase());
        match !name.is_empty() && name.bytes().all(word) && lower {
            true => Ok(Self {
                include,
                name: name.to_owned(),
            }),
            false => Err(Refusal::InvalidFileName(name.to_owned())),
        }
    }

    /// Its path below the policy directory.
    pub fn path(&self) -> String {
        match self.include {
            true => format!("include/{}", self.name),
            false => format!("{}.policy", self.name),
        }
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

impl Token {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        match std::str::from_utf8(bytes).unwrap_or_default() {
            "any" => Ok(Self::Any),
            "new" => Ok(Self::New),
            // One that is no digest matches nothing.
            text => match text.strip_prefix("sha256:") {
                Some(digest) => Ok(Self::Sha256(digest.to_owned())),
                None => Err(Refusal::protocol(
                    "Unrecognized token; it is `any`, `new` or `sha256:DIGEST`",
                )),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(call: &str, input: &str) -> Result<Request, String> {
        Request::read(call, None, input.as_bytes()).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn a_request_is_what_the_call_and_its_input_say() {
        let file = |include, name: &str| File {
            include,
            name: name.to_owned(),
        };
        assert_eq!(
            read("policy.List", ""),
            Ok(Request::List { include: false })
        );
        assert_eq!(
            read("policy.include.List+", ""),
            Ok(Request::List { include: true })
        );
        assert_eq!(
            read("policy.Replace+30-user", "new\nany\n# text\n"),
            Ok(Request::Replace {
                file: file(false, "30-user"),
                token: Token::New,
                content: b"any\n# text\n".to_vec(),
            })
        );
        let digest = "0".repeat(64);
        assert_eq!(
            read("policy.include.Remove+Admin_x", &format!("sha256:{digest}")),
            Ok(Request::Remove {
                file: file(true, "Admin_x"),
                token: Token::Sha256(digest),
            })
        );
    }

    #[test]
    fn anything_else_is_refused_before_a_file_is_looked_at() {
        let file_name = "PolicyAdminInvalidFileNameException";
        for name in ["", ".", "..", "a.b", "a+b", "Upper"] {
            let refusal = read(&format!("policy.Get+{name}"), "").unwrap_err();
            assert!(refusal.starts_with(file_name), "{name}: {refusal}");
        }
        let protocol = "PolicyAdminProtocolException";
        for (call, input) in [
            ("policy.List+x", ""),
            ("policy.List", "x"),
            ("policy.Get+x", "x"),
            ("policy.Get+a/b", ""),
            ("policy.Get+30 user", ""),
            ("policy.Get+\u{e4}", ""),
            ("policy.GetFiles+a+b", ""),
            ("policy.GetFiles", ""),
            ("policy.include.GetFiles+x", ""),
            ("policy.Reload", ""),
            ("admin.vm.List", ""),
            ("policy.Replace+a", "any"),
            ("policy.Replace+a", "sometimes\n"),
            ("policy.Replace+a", "\n"),
            ("policy.Remove+a", "any\n"),
            ("policy.Remove+a", "sha256"),
        ] {
            let refusal = read(call, input).unwrap_err();
            assert!(refusal.starts_with(protocol), "{call}: {refusal}");
        }
        let long = format!("any\n{}", "#".repeat(CONTENT_MAX + TOKEN_MAX));
        assert!(
            read("policy.Replace+a", &long)
                .unwrap_err()
                .starts_with(protocol)
        );
    }
}
