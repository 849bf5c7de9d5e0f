// SPDX-License-Identifier: GPL-3.0-or-later
//! What can be said on the command line.

use std::path::PathBuf;

use bulkhead_types::{DomainName, Label};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::completion::{Complete, Completion};
use crate::manual::Manual;
use crate::policy::arguments::PolicyCommand;
use crate::trace::Trace;

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 126 refused by policy or by the domain manager. A verb with
others says so in its own help; `run` and `disposable` end as the command does.";

/// Run each part of your life in a domain of its own
#[derive(Debug, Parser)]
#[command(name = "bulkhead", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Arguments {
    /// Answer in JSON, where there is an answer
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the domains
    Ls,
    /// Create a domain
    Create(Create),
    /// Remove halted domains with all they hold
    Remove(Domains),
    /// Start domains and wait until they answer
    Start(Domains),
    /// Shut domains down and wait until they have
    #[command(visible_alias = "shutdown")]
    Stop(Stop),
    /// End domains at once
    Kill(Domains),
    /// Say where the time of a domain's last start went
    Report {
        /// The domain
        domain: DomainName,
    },
    /// Choose what the system uses where nothing is named
    Default {
        /// What for
        what: Default,
        /// The domain
        domain: DomainName,
    },
    /// Run a command in a domain; its exit code is this one's
    Run(Run),
    /// Show a file of dom0 in a domain; changes made there are not taken back
    Open(Open),
    /// Run a command in a new disposable, which ends with it
    #[command(visible_alias = "disp")]
    Disposable(Disposable),
    /// Copy a file of dom0 into a domain
    Copy(Copy),
    /// Deal with domains
    Domain {
        #[command(subcommand)]
        command: DomainCommand,
    },
    /// Deal with templates
    Template {
        #[command(subcommand)]
        command: TemplateCommand,
    },
    /// Ask what policy says, check it, and change it
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Say where the time of the last calls went
    Trace(Trace),
    /// Deal with labels
    Label {
        #[command(subcommand)]
        command: LabelCommand,
    },
    /// Say what runs, and what is missing
    Status,
    /// Print a script with which a shell completes domains, services and everything else
    Completion(Completion),
    /// Write the manual pages, for packages
    #[command(hide = true)]
    Manual(Manual),
    /// Say what may stand in the place of the last word
    #[command(hide = true)]
    Complete(Complete),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Default {
    /// What new disposables are based on
    Disposable,
    /// What new domains are based on
    Template,
}

#[derive(Debug, Args)]
pub struct Domains {
    /// The domains
    #[arg(required = true, value_name = "DOMAIN")]
    pub names: Vec<DomainName>,
}

#[derive(Debug, Args)]
pub struct Stop {
    /// The domains
    #[arg(required = true, value_name = "DOMAIN")]
    pub names: Vec<DomainName>,
    /// Do not wait
    #[arg(long)]
    pub no_wait: bool,
}

#[derive(Debug, Args)]
pub struct Run {
    /// The domain; it is started if it is halted
    pub domain: DomainName,
    /// Wait for the domain's session, and let the command show windows
    #[arg(long)]
    pub gui: bool,
    /// The user in the domain
    #[arg(long)]
    pub user: Option<String>,
    /// The command and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub words: Vec<std::ffi::OsString>,
}

#[derive(Debug, Args)]
pub struct Open {
    /// The domain; it is started if it is halted
    pub domain: DomainName,
    /// The file
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct Copy {
    /// The file
    pub file: PathBuf,
    /// The domain; it is started if it is halted
    pub domain: DomainName,
}

#[derive(Debug, Args)]
pub struct Disposable {
    /// What the disposable is based on; without it, dom0's `default_dispvm`
    #[arg(long)]
    pub template: Option<DomainName>,
    /// Wait for the disposable's session, and let the command show windows
    #[arg(long)]
    pub gui: bool,
    /// The user in the disposable
    #[arg(long)]
    pub user: Option<String>,
    /// The command and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub words: Vec<std::ffi::OsString>,
}

#[derive(Debug, Subcommand)]
pub enum DomainCommand {
    /// List the domains
    Ls,
    /// Create a domain
    Create(Create),
    /// Remove halted domains with all they hold
    Remove(Domains),
    /// Start domains and wait until they answer
    Start(Domains),
    /// Shut domains down and wait until they have
    #[command(visible_alias = "shutdown")]
    Stop(Stop),
    /// End domains at once
    Kill(Domains),
    /// Hold domains where they are
    Pause(Domains),
    /// Let paused domains go on
    Unpause(Domains),
    /// Say all that is known of a domain
    Info {
        /// The domain
        name: DomainName,
    },
    /// Show a property of a domain, or all
    Get {
        /// The domain
        name: DomainName,
        /// The property
        property: Option<String>,
    },
    /// Set a property of a domain; `system` as the domain means the system's own
    Set {
        /// The domain, or `system`
        name: DomainName,
        /// The property
        property: String,
        /// The value; empty for none
        value: String,
    },
    /// Return a property of a domain to its default
    Reset {
        /// The domain, or `system`
        name: DomainName,
        /// The property
        property: String,
    },
}

#[derive(Debug, Args)]
pub struct Create {
    /// The name
    pub name: DomainName,
    /// AppVM, TemplateVM, DispVM (a disposable with a name) or RemoteVM (on another machine)
    #[arg(long, default_value = "AppVM")]
    pub class: String,
    /// What it is based on; without it, the system's default
    #[arg(long)]
    pub template: Option<DomainName>,
    /// The colour of its frames
    #[arg(long)]
    pub label: Option<Label>,
    /// Let disposables be based on it
    #[arg(long)]
    pub for_disposables: bool,
    /// A property to set
    #[arg(long = "set", value_name = "PROPERTY=VALUE", value_parser = property)]
    pub properties: Vec<(String, String)>,
}

fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as PROPERTY=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[derive(Debug, Subcommand)]
pub enum TemplateCommand {
    /// Take a built template into the system
    Install(Install),
}

#[derive(Debug, Args)]
pub struct Install {
    /// The name it shall have
    pub name: DomainName,
    /// The folder that the template builder made
    pub directory: PathBuf,
    /// The colour of its frames
    #[arg(long)]
    pub label: Option<Label>,
}

#[derive(Debug, Subcommand)]
pub enum LabelCommand {
    /// List the labels and their colours
    #[command(visible_alias = "ls")]
    List,
}
