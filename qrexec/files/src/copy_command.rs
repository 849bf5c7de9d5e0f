// SPDX-License-Identifier: GPL-3.0-or-later
//! The commands `bulkhead-copy` and `bulkhead-move`.
//!
//! They also go by the names that scripts and people know: `qvm-copy-to-vm` and `qvm-move-to-vm` take
//! the same words; `qvm-copy` and `qvm-move` take files only, and policy or the user choose the domain.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser};

use crate::call::{Call, CannotCall, Target, own_name};
use crate::report::{self, FAILED, NO_SERVICE, came_to_nothing, complain, failure};
use crate::send::{Links, SendError, Sent, Survey, as_asked, remove, send_with};

const SERVICE: &str = "qubes.Filecopy";
/// The same for names with any characters.
const ALL_NAMES: &str = "qubes.Filecopy+allow-all-names";

/// How the files are sent. Of two words that contradict each other the later one counts.
#[derive(Clone, Copy, Debug, Default, Args)]
struct Choices {
    /// Leave symbolic links out
    #[arg(long, overrides_with = "no_ignore_symlinks")]
    ignore_symlinks: bool,
    /// Send symbolic links, which is what happens anyway
    #[arg(long, overrides_with = "ignore_symlinks")]
    no_ignore_symlinks: bool,
    /// Do not show how far the copy is
    #[arg(long, overrides_with = "with_progress")]
    without_progress: bool,
    /// Show how far the copy is, which happens on a terminal anyway
    #[arg(long, overrides_with = "without_progress")]
    with_progress: bool,
}

impl Choices {
    fn links(self) -> Links {
        if self.ignore_symlinks {
            Links::LeftOut
        } else {
            Links::Sent
        }
    }
}

/// What both commands take.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    choices: Choices,
    /// The domain that gets the files, in its folder ~/QubesIncoming
    #[arg(value_name = "DOMAIN")]
    target: Target,
    /// What it gets: files, folders with all they hold, links inside them
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// What the commands take under the names that leave the domain open.
#[derive(Debug, Parser)]
struct FilesOnly {
    #[command(flatten)]
    choices: Choices,
    /// What another domain gets: files, folders with all they hold, links inside them
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

impl Arguments {
    /// What the command line means if this program was called by a name that leaves the domain open.
    pub fn of_open_name() -> Option<Self> {
        let own = std::env::args_os().next()?;
        let name = Path::new(&own).file_name()?.to_str()?;
        matches!(name, "qvm-copy" | "qvm-move").then(|| {
            let FilesOnly { choices, files } = FilesOnly::parse();
            Self {
                choices,
                target: Target::default_domain(),
                files,
            }
        })
    }
}

/// What happens to the files here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They stay.
    Copy,
    /// They are removed once the other domain has them on its disk.
    Move,
}

impl Mode {
    fn verb(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Move => "move",
        }
    }
}

/// Runs one of the two commands.
pub fn run(arguments: &Arguments, mode: Mode) -> ExitCode {
    // Known before anybody is asked, so that what cannot work needs no permission.
    let survey = match Survey::of(&arguments.files, arguments.choices.links()) {
        Ok(survey) => survey,
        Err(error) => return failure(&error),
    };
    for path in &survey.left_out {
        let path = path.display();
        report::note(format_args!(
            "{path} is neither a file nor a folder nor a link, and stays here"
        ));
    }
    let (sent, code) = match exchange(arguments, &survey) {
        Ok(both) => both,
        Err(error) => return failure(&error),
    };
    let target = &arguments.target;
    match (sent, code) {
        (Ok(sent), 0) => match mode {
            Mode::Copy => ExitCode::SUCCESS,
            Mode::Move => remove_sent(&sent, arguments),
        },
        (Ok(_), code) => {
            report::error(format_args!(
                "{target} has the files, but its service ended with exit code {code}"
            ));
            ExitCode::from(code)
        }
        (Err(SendError::NoAnswer(_)), code) if came_to_nothing(code) => {
            let (own, verb) = (own_name(), mode.verb());
            report::no_call(
                format_args!("{own} could not {verb} files to {target}"),
                code,
            );
            ExitCode::from(code)
        }
        (Err(SendError::NoAnswer(_)), NO_SERVICE) => {
            report::error(format_args!("{target} has no service {SERVICE}"));
            ExitCode::from(NO_SERVICE)
        }
        (Err(error @ SendError::NoAnswer(_)), code) => {
            let hint = format!("the call ended with exit code {code}");
            complain(&error, Some(&hint));
            ExitCode::from(code.max(FAILED))
        }
        // Receivers end with the number of the error.
        (Err(error), code) => {
            complain(&error, None);
            ExitCode::from(code.max(FAILED))
        }
    }
}

fn remove_sent(sent: &Sent, arguments: &Arguments) -> ExitCode {
    let stay = match remove(sent) {
        Ok(stay) => stay,
        Err(error) => return failure(&error),
    };
    for path in stay.iter().filter(|path| arguments.files.contains(path)) {
        let path = path.display();
        report::note(format_args!(
            "{path} stays, since it holds what was not sent"
        ));
    }
    ExitCode::SUCCESS
}

fn exchange(
    arguments: &Arguments,
    survey: &Survey,
) -> Result<(Result<Sent, SendError>, u8), CannotCall> {
    let service = if survey.needs_all_names {
        ALL_NAMES
    } else {
        SERVICE
    };
    let (input, output, ending) = Call::begin(&arguments.target, service)?.split();
    let choices = arguments.choices;
    let kind = choices.without_progress.then_some("none");
    let progress = as_asked(|| survey.bytes, kind, None);
    let target = arguments.target.to_string();
    let files = &arguments.files;
    let sent = send_with(files, choices.links(), &target, input, output, progress);
    Ok((sent, ending.code()?))
}
