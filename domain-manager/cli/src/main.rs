// SPDX-License-Identifier: GPL-3.0-or-later
//! The command of Bulkhead: what a person says to the domain manager and to policy.
//!
//! One request per question, so that a command that only reads costs no more than a blink;
//! no runtime, no threads but where several domains are dealt with at once.
//!
//! Trusts the domain manager. What guests print reaches the terminal through the qrexec
//! client, which replaces control characters.
#![forbid(unsafe_code)]

mod arguments;
mod call;
mod client;
mod completion;
mod domain;
mod failure;
mod list;
mod manual;
mod policy;
mod share;
mod status;
mod template;
mod terminal;
mod trace;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command, DomainCommand, LabelCommand, TemplateCommand};
use client::Client;
use failure::Failure;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprint!("{failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn run(arguments: Arguments) -> Result<u8, Failure> {
    let json = arguments.json;
    let client = Client::from_environment();
    match arguments.command {
        Command::Ls => list::domains(&client, json)?,
        Command::Create(create) => domain::create(&client, &create)?,
        Command::Remove(domains) => domain::remove(&client, &domains.names)?,
        Command::Start(domains) => domain::start(&client, &domains.names, json)?,
        Command::Stop(stop) => domain::stop(&client, &stop)?,
        Command::Kill(domains) => domain::kill(&client, &domains.names)?,
        Command::Report { domain } => domain::report(&client, &domain, json)?,
        Command::Default { what, domain } => domain::set_default(&client, what, &domain)?,
        Command::Run(run) => return call::run(&client, &run),
        Command::Open(open) => return share::open(&client, &open.domain, &open.file),
        Command::Disposable(disposable) => return call::disposable(&client, &disposable),
        Command::Copy(copy) => return share::copy(&client, &copy.file, &copy.domain),
        Command::Domain { command } => match command {
            DomainCommand::Ls => list::domains(&client, json)?,
            DomainCommand::Create(create) => domain::create(&client, &create)?,
            DomainCommand::Remove(domains) => domain::remove(&client, &domains.names)?,
            DomainCommand::Start(domains) => domain::start(&client, &domains.names, json)?,
            DomainCommand::Stop(stop) => domain::stop(&client, &stop)?,
            DomainCommand::Kill(domains) => domain::kill(&client, &domains.names)?,
            DomainCommand::Pause(domains) => {
                domain::each(&client, &domains.names, "admin.vm.Pause")?
            }
            DomainCommand::Unpause(domains) => {
                domain::each(&client, &domains.names, "admin.vm.Unpause")?
            }
            DomainCommand::Info { name } => list::info(&client, &name, json)?,
            DomainCommand::Get { name, property } => {
                domain::get(&client, &name, property.as_deref(), json)?
            }
            DomainCommand::Set {
                name,
                property,
                value,
            } => domain::set(&client, &name, &property, &value)?,
            DomainCommand::Reset { name, property } => domain::reset(&client, &name, &property)?,
        },
        Command::Template { command } => match command {
            TemplateCommand::Install(install) => template::install(&client, &install)?,
        },
        Command::Policy { command } => return policy::run(&client, &command, json),
        Command::Label {
            command: LabelCommand::List,
        } => list::labels(json)?,
        Command::Trace(asked) => trace::show(&client, &asked, json)?,
        Command::Status => return status::show(&client, json),
        Command::Completion(asked) => completion::script(&asked)?,
        Command::Manual(asked) => manual::write(&asked)?,
        Command::Complete(asked) => completion::complete(&client, &asked)?,
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
