// SPDX-License-Identifier: GPL-3.0-or-later
//! What the command line of `qrexec-client-vm` says.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;
use lexopt::{Error, Parser};

/// What `--help` prints.
pub const HELP: &str = "\
Calls a service in another domain

Usage: qrexec-client-vm [OPTIONS] TARGET SERVICE [PROGRAM [ARGUMENT...]]

  TARGET   the domain to call: a name, @default, @dispvm, @dispvm:NAME or @adminvm
  SERVICE  the service, as NAME or NAME+ARGUMENT
  PROGRAM  talks with the service, instead of this process's own streams

Options:
  -t, --filter-escape-chars-stdout     filter output even if it is not a terminal
  -T, --filter-escape-chars-stderr     filter errors even if they are not a terminal
      --no-filter-escape-chars-stdout  do not filter output, even on a terminal
      --no-filter-escape-chars-stderr  do not filter errors, even on a terminal
  -a, --agent-socket SOCKET            the agent's socket [/var/run/qubes/qrexec-agent]
  -p, --prefix-data DATA               what the service's input begins with
      --use-stdin-socket               send output back through the socket that is standard input
  -s, --source-qube DOMAIN             the remote domain to speak for
      --buffer-size BYTES              taken for compatibility: the buffers have one size
  -h, --help                           print this
";

/// A call that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestArguments {
    /// Whether output is filtered, if that was said.
    pub filter_output: Option<bool>,
    /// Whether errors are filtered, if that was said.
    pub filter_errors: Option<bool>,
    /// The agent's socket.
    pub agent_socket: PathBuf,
    /// What the service's input begins with.
    pub prefix_data: OsString,
    /// Output goes back through the socket that is standard input.
    pub use_stdin_socket: bool,
    /// The remote domain to speak for; empty: none.
    pub source_qube: String,
    /// The domain to call.
    pub target: String,
    /// The service.
    pub service: String,
    /// The program that talks with the service, and its arguments.
    pub program: Vec<OsString>,
}

impl GuestArguments {
    /// Reads a command line, the program's own name first; `None` if it asks for help.
    pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, Error> {
        let mut parser = Parser::from_iter(line);
        let mut said = Self {
            filter_output: None,
            filter_errors: None,
            agent_socket: "/var/run/qubes/qrexec-agent".into(),
            prefix_data: OsString::new(),
            use_stdin_socket: false,
            source_qube: String::new(),
            target: String::new(),
            service: String::new(),
            program: Vec::new(),
        };
        let mut target = None;
        while let Some(argument) = parser.next()? {
            match argument {
                Short('t') | Long("filter-escape-chars-stdout") => said.filter_output = Some(true),
                Short('T') | Long("filter-escape-chars-stderr") => said.filter_errors = Some(true),
                Long("no-filter-escape-chars-stdout") => said.filter_output = Some(false),
                Long("no-filter-escape-chars-stderr") => said.filter_errors = Some(false),
                Short('a') | Long("agent-socket") => said.agent_socket = parser.value()?.into(),
                Short('p') | Long("prefix-data") => said.prefix_data = parser.value()?,
                Long("use-stdin-socket") => said.use_stdin_socket = true,
                Short('s') | Long("source-qube") => said.source_qube = parser.value()?.string()?,
                Long("buffer-size") => drop(parser.value()?.parse::<u64>()?),
                Short('h') | Long("help") => return Ok(None),
                Value(word) if target.is_none() => target = Some(word.string()?),
                Value(word) => {
                    said.target = target.ok_or("the target is missing")?;
                    said.service = word.string()?;
                    // The rest is the program's own.
                    let rest = parser.raw_args()?;
                    said.program = rest.collect();
                    if said.program.first().is_some_and(|word| word == "--") {
                        said.program.remove(0);
                    }
                    return Ok(Some(said));
                }
                other => return Err(other.unexpected()),
            }
        }
        Err(match target {
            None => "the target and the service are missing".into(),
            Some(_) => "the service is missing".into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<GuestArguments>, String> {
        let words = ["qrexec-client-vm"].into_iter().chain(line.split(' '));
        GuestArguments::parse(words.map(OsString::from)).map_err(|error| error.to_string())
    }

    fn call(line: &str) -> GuestArguments {
        parse(line).unwrap().unwrap()
    }

    #[test]
    fn what_follows_the_service_belongs_to_the_program() {
        let said = call("-t --prefix-data=-x work a.B+c cat -t --help -- -");
        assert_eq!(
            (said.target.as_str(), said.service.as_str()),
            ("work", "a.B+c")
        );
        assert_eq!(said.program, ["cat", "-t", "--help", "--", "-"]);
        assert_eq!(said.prefix_data, "-x");
        assert_eq!(call("work a.B -- cat -t").program, ["cat", "-t"]);
        assert_eq!(call("-- work a.B cat --help").program, ["cat", "--help"]);
        assert!(call("work a.B").program.is_empty());
    }

    #[test]
    fn the_last_word_on_filtering_counts() {
        let filter = |line: &str| call(&format!("{line} work a.B")).filter_output;
        assert_eq!(filter("-tT"), Some(true));
        assert_eq!(filter("-t --no-filter-escape-chars-stdout"), Some(false));
        assert_eq!(filter("--no-filter-escape-chars-stdout -t"), Some(true));
        assert_eq!(filter("-T"), None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(parse("-h"), Ok(None));
        let told = ["-x work a.B", "--buffer-size=much work a.B", "work", "-a"]
            .map(|line| parse(line).unwrap_err());
        insta::assert_snapshot!(told.join("\n"), @r#"
        invalid option '-x'
        cannot parse argument "much": invalid digit found in string
        the service is missing
        missing argument for option '-a'
        "#);
    }
}
