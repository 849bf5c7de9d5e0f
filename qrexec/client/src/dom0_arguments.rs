// SPDX-License-Identifier: GPL-3.0-or-later
//! What the command line of `qrexec-client` says.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use bulkhead_types::{DomId, DomainName};
use lexopt::prelude::*;
use lexopt::{Error, Parser};
use qrexec_protocol::trigger::RequestId;

/// What `--help` prints.
pub const HELP: &str = "\
Runs a command or a service in a domain

Usage: qrexec-client [OPTIONS] -d DOMAIN COMMAND

  COMMAND  USER:COMMAND, or USER:QUBESRPC SERVICE+ARGUMENT SOURCE

Options:
  -d DOMAIN             the domain, by name or as uuid:UUID; dom0 runs a service here
  -l COMMAND            a command for the shell that talks with the command in the domain
  -e                    only start the command; do not attach to its streams
  -E, --no-exit-code    end with 0 whatever the command's exit code is
  -t                    filter the command's output even if it does not go to a terminal
  -T                    filter the command's errors even if they do not go to a terminal
      --no-filter       do not filter, even on a terminal
  -c ID,NAME,NUMBER     answer a domain's request: its id, the domain's name and number
  -W                    with -c: wait until the call has ended
  -k                    kill the domain when the call has ended
  -w SECONDS            how long the domain may take to connect; 0 means any time [10]
  -p DATA               what the command's input begins with
      --socket-dir FOLDER  the folder with the daemons' sockets
      --use-stdin-socket   send output back through the socket that is standard input
  -h, --help            print this
";

/// A call that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dom0Arguments {
    /// Output is filtered even if it does not go to a terminal.
    pub filter_output: bool,
    /// Errors are filtered even if they do not go to a terminal.
    pub filter_errors: bool,
    /// Nothing is filtered, even on a terminal.
    pub no_filter: bool,
    /// The exit code is 0 whatever the command's is.
    pub no_exit_code: bool,
    /// The command is only started.
    pub just_exec: bool,
    /// Wait until the call has ended.
    pub wait: bool,
    /// Kill the domain when the call has ended.
    pub kill: bool,
    /// How many seconds the domain may take to connect; 0 means any time.
    pub patience: u64,
    /// What the command's input begins with.
    pub prefix: OsString,
    /// The folder with the daemons' sockets, if it is not the usual one.
    pub socket_dir: Option<PathBuf>,
    /// Output goes back through the socket that is standard input.
    pub use_stdin_socket: bool,
    /// The domain.
    pub domain: String,
    /// A command for the shell that talks with the command in the domain.
    pub local_command: Option<OsString>,
    /// The request that is answered.
    pub connect: Option<Requester>,
    /// The command.
    pub command: OsString,
}

/// A request of a domain that is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The request's id.
    pub ident: RequestId,
    /// The domain's name.
    pub name: String,
    /// The domain's number.
    pub id: DomId,
}

impl FromStr for Requester {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(',').collect();
        let [ident, name, id] = parts[..] else {
            return Err("a request is named as ID,NAME,NUMBER".to_owned());
        };
        let ident = RequestId::parse(format!("{ident}\0").as_bytes()).ok_or("not a request id")?;
        let id: DomId = id.parse().map_err(|error| format!("{error}"))?;
        if id == DomId::DOM0 || name == DomainName::DOM0 {
            return Err("dom0 makes no requests".to_owned());
        }
        Ok(Self {
            ident,
            name: name.to_owned(),
            id,
        })
    }
}

impl Dom0Arguments {
    /// Reads a command line, the program's own name first; `None` if it asks for help.
    pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, Error> {
        let mut parser = Parser::from_iter(line);
        let mut said = Self {
            filter_output: false,
            filter_errors: false,
            no_filter: false,
            no_exit_code: false,
            just_exec: false,
            wait: false,
            kill: false,
            patience: 10,
            prefix: OsString::new(),
            socket_dir: None,
            use_stdin_socket: false,
            domain: String::new(),
            local_command: None,
            connect: None,
            command: OsString::new(),
        };
        let (mut domain, mut command) = (None, None);
        while let Some(argument) = parser.next()? {
            match argument {
                Short('d') => domain = Some(parser.value()?.string()?),
                Short('l') => said.local_command = Some(parser.value()?),
                Short('e') => said.just_exec = true,
                Short('E') | Long("no-exit-code") => said.no_exit_code = true,
                Short('t') => said.filter_output = true,
                Short('T') => said.filter_errors = true,
                Long("no-filter") => said.no_filter = true,
                Short('c') => said.connect = Some(parser.value()?.parse()?),
                Short('W') => said.wait = true,
                Short('k') => said.kill = true,
                Short('w') => said.patience = parser.value()?.parse()?,
                Short('p') => said.prefix = parser.value()?,
                Long("socket-dir") => said.socket_dir = Some(parser.value()?.into()),
                Long("use-stdin-socket") => said.use_stdin_socket = true,
                Short('h') | Long("help") => return Ok(None),
                Value(word) if command.is_none() => command = Some(word),
                other => return Err(other.unexpected()),
            }
        }
        said.domain = domain.ok_or("the domain is missing: -d DOMAIN")?;
        said.command = command.ok_or("the command is missing")?;
        let ways = [
            said.just_exec,
            said.local_command.is_some(),
            said.connect.is_some(),
        ];
        if ways.iter().filter(|way| **way).count() > 1 {
            return Err("-e, -l and -c exclude each other".into());
        }
        Ok(Some(said))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Dom0Arguments>, String> {
        let words = ["qrexec-client"].into_iter().chain(line.split(' '));
        Dom0Arguments::parse(words.map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn options_stand_before_or_after_the_command() {
        let said = parse("-d work -Ew0 user:true -p -x --socket-dir=/run")
            .unwrap()
            .unwrap();
        assert_eq!(
            (said.domain.as_str(), said.command.to_str()),
            ("work", Some("user:true"))
        );
        assert!(said.no_exit_code && said.patience == 0 && said.prefix == "-x");
        let said = parse("-d work -c SOCKET4,personal,2 -E user:true")
            .unwrap()
            .unwrap();
        assert_eq!(said.connect.unwrap().name, "personal");
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(parse("--help"), Ok(None));
        let told = [
            "user:true",
            "-d work",
            "-d work user:true more",
            "-d work -w soon user:true",
            "-d work -c SOCKET4,dom0,0 user:true",
            "-d work -c SOCKET4 user:true",
            "-d work -e -l cat user:true",
            "-d work --mystery user:true",
        ];
        let told = told.map(|line| parse(line).unwrap_err());
        insta::assert_snapshot!(told.join("\n"), @r#"
        the domain is missing: -d DOMAIN
        the command is missing
        unexpected argument "more"
        cannot parse argument "soon": invalid digit found in string
        cannot parse argument "SOCKET4,dom0,0": dom0 makes no requests
        cannot parse argument "SOCKET4": a request is named as ID,NAME,NUMBER
        -e, -l and -c exclude each other
        invalid option '--mystery'
        "#);
    }
}
