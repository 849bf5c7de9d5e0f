// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy edit` and `new`.

use std::fs::{self, DirBuilder};
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueHint};
use policy_administration::Set;

use super::commit::Change;
use super::{Changing, file, set};
use crate::client::Client;
use crate::failure::Failure;
use crate::list::print;

#[derive(Debug, Args)]
#[command(after_long_help = EDIT_HELP)]
pub struct Edit {
    /// The file, such as `30-user` or `include/NAME`
    #[arg(default_value = "30-user")]
    file: String,
    /// Take this text instead of starting an editor; `-` is standard input
    #[arg(long, value_name = "TEXT")]
    from: Option<PathBuf>,
    #[command(flatten)]
    changing: Changing,
}

const EDIT_HELP: &str = "\
The editor is $VISUAL, $EDITOR or `editor`, and it gets a copy. Only when the whole policy with the
change is without errors and meets its expectations is the file itself replaced; otherwise the copy
stays, and is named.

Where no generation was applied yet, what is written is live. Where one was, -m makes it live.";

#[derive(Debug, Args)]
#[command(after_long_help = EDIT_HELP)]
pub struct New {
    /// The file, such as `40-office` or `include/NAME`
    #[arg(value_hint = ValueHint::Other)]
    file: String,
    /// Take this text instead of starting an editor; `-` is standard input
    #[arg(long, value_name = "TEXT")]
    from: Option<PathBuf>,
    #[command(flatten)]
    changing: Changing,
}

const NEW_FILE: &str = "\
# What these rules are for.
#
# SERVICE  ARGUMENT  SOURCE  TARGET  ACTION
";

pub fn edit(client: &Client, asked: &Edit) -> Result<u8, Failure> {
    let set = set(client, &asked.changing)?;
    let path = file::existing(&set, &asked.file)?;
    let Some(text) = set.text(&path) else {
        return Err(Failure::new(format!("`{path}` is no text")));
    };
    change(
        client,
        &set,
        &path,
        text,
        asked.from.as_deref(),
        &asked.changing,
        "edit",
    )
}

pub fn new(client: &Client, asked: &New) -> Result<u8, Failure> {
    let set = set(client, &asked.changing)?;
    let path = file::new(&set, &asked.file)?;
    change(
        client,
        &set,
        &path,
        NEW_FILE,
        asked.from.as_deref(),
        &asked.changing,
        "new",
    )
}

fn change(
    client: &Client,
    set: &Set,
    path: &str,
    text: &str,
    from: Option<&Path>,
    changing: &Changing,
    verb: &str,
) -> Result<u8, Failure> {
    if let Some(from) = from {
        let text = read(from)?;
        let change = Change {
            before: set,
            path,
            text: &text,
        };
        return change.check(client)?.commit(client, changing);
    }
    let copy = Copy::make(path, text)?;
    loop {
        if let Err(failure) = copy.edit() {
            let untouched = read(&copy.file).is_ok_and(|now| now == text);
            if untouched {
                copy.remove();
                return Err(failure.hint("the policy is as it was"));
            }
            return Err(failure);
        }
        let edited = read(&copy.file)?;
        if edited == text {
            copy.remove();
            print("Nothing was changed.\n")?;
            return Ok(0);
        }
        // Others may have changed other files while the editor was open.
        let now = super::set(client, changing)?;
        let change = Change {
            before: if now.text(path) == set.text(path) {
                &now
            } else {
                set
            },
            path,
            text: &edited,
        };
        match change
            .check(client)
            .and_then(|checked| checked.commit(client, changing))
        {
            Ok(code) => {
                copy.remove();
                return Ok(code);
            }
            Err(failure) if wants_another_try(&failure) => {}
            Err(failure) => {
                let copy = copy.file.display();
                return Err(failure.hint(format!(
                    "nothing is lost: your text is in {copy}; change it there, and then \
                     `bulkhead policy {verb} {path} --from {copy}`"
                )));
            }
        }
    }
}

/// Asks whoever sits there whether to go on editing.
fn wants_another_try(failure: &Failure) -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return false;
    }
    eprint!("{failure}Edit it again? [Y/n] ");
    let _ = io::stderr().flush();
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok_and(|n| n > 0) && !answer.trim().to_lowercase().starts_with('n')
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match path == Path::new("-") {
        true => io::stdin().read_to_string(&mut text).map(|_| text),
        false => fs::read_to_string(path),
    };
    read.map_err(|error| Failure::new(format!("cannot read {}", path.display())).because(&error))
}

/// The text that the editor works on, in a directory of its own that nobody else can enter.
struct Copy {
    directory: PathBuf,
    file: PathBuf,
}

impl Copy {
    fn make(path: &str, text: &str) -> Result<Self, Failure> {
        let failed =
            |error: &io::Error| Failure::new("the editor cannot be given a copy").because(error);
        let name = Path::new(path).file_name().unwrap_or_default();
        let stem = format!("bulkhead-policy-{}", std::process::id());
        for n in 0..100 {
            let directory = std::env::temp_dir().join(format!("{stem}-{n}"));
            match DirBuilder::new().mode(0o700).create(&directory) {
                Ok(()) => {
                    let file = directory.join(name);
                    fs::write(&file, text).map_err(|error| failed(&error))?;
                    return Ok(Self { directory, file });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        let place = std::env::temp_dir();
        Err(
            Failure::new("the editor cannot be given a copy").hint(format!(
                "remove what is left in {}/{stem}-*",
                place.display()
            )),
        )
    }

    fn edit(&self) -> Result<(), Failure> {
        let chosen = ["VISUAL", "EDITOR"].into_iter();
        let mut chosen = chosen.filter_map(|name| std::env::var(name).ok());
        let editor = chosen.find(|words| !words.trim().is_empty());
        let editor = editor.unwrap_or_else(|| "editor".to_owned());
        // The variable may hold options; its owner writes it for a shell.
        let mut command = Command::new("sh");
        let command = command.args(["-c", &format!("{editor} \"$1\""), "sh"]);
        match command.arg(&self.file).status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(
                Failure::new(format!("the editor `{editor}` failed: {status}")).hint(format!(
                    "the policy is as it was; your text is in {}",
                    self.file.display()
                )),
            ),
            Err(error) => Err(Failure::new("no editor can be started").because(&error)),
        }
    }

    fn remove(&self) {
        // An editor may have left something beside it that somebody wants.
        let _ = fs::remove_file(&self.file);
        let _ = fs::remove_dir(&self.directory);
    }
}
