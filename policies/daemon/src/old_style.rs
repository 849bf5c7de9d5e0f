// SPDX-License-Identifier: GPL-3.0-or-later
//! Policy files of the older style, one service each, by themselves: known by their looks, and
//! read as `!compat-4.0` would read them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bulkhead_policy::{
    Diagnostic, Includes, Policy, PolicyFile, Rejected, SourceMap, Unreadable, old_file,
};

use crate::load::{parse, read};

/// What stands for the file that brings older ones in.
const NOWHERE: &str = "(older files)";
/// The words a rule's action begins with.
const ACTIONS: [&str; 3] = ["allow", "deny", "ask"];

/// The service that a file is about, with its argument, if it is one of the older style by its name
/// and text.
pub fn old_style(path: &Path, text: &str) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    old_file(name).filter(|_| !name.ends_with(".policy"))?;
    let readable = text.replace(',', " ");
    let lines = readable.lines().map(str::trim);
    let mut rules = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter(|line| !line.starts_with("!include") && !line.starts_with("$include"))
        .peekable();
    rules.peek()?;
    let old = |line: &str| {
        let action = line.split_whitespace().nth(2).unwrap_or_default();
        ACTIONS.contains(&action.to_lowercase().as_str())
    };
    rules.all(old).then(|| name.to_owned())
}

/// What is said of such a file where one of the current style is expected.
pub(crate) fn looks_old(path: &Path, service: &str) -> Diagnostic {
    let message = format!(
        "`{}` looks like an old-style policy file, for the service `{service}`",
        path.display()
    );
    Diagnostic::global(message).code("old-style").help(
        "`bulkhead policy check --old-style FILE` reads it as one; a policy brings such files in with \
         `!compat-4.0`, or one of them with `!include-service SERVICE ARGUMENT FILE`",
    )
}

/// Reads older files, each named after its service, that make up a policy by themselves.
///
/// # Errors
///
/// Whatever is wrong with any of them, their names and places included.
pub fn load_old_files(paths: &[PathBuf]) -> Result<Policy, Rejected> {
    let mut problems = Vec::new();
    let mut files = BTreeMap::new();
    let directory = paths.first().and_then(|path| path.parent());
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let shown = path.display();
        if path.parent() != directory {
            let message = format!("`{shown}` does not lie beside the others");
            problems.push(Diagnostic::global(message).help("check one directory at a time"));
        } else if old_file(&name).is_none() {
            let message = format!("`{shown}` is not named after a service");
            problems.push(Diagnostic::global(message).help("`!compat-4.0` would pass over it"));
        } else {
            match read(path) {
                Ok(text) => drop(files.insert(name.into_owned(), text)),
                Err(why) => {
                    let message = format!("cannot read `{shown}`: {why}");
                    problems.push(Diagnostic::global(message));
                }
            }
        }
    }
    let directory = directory.unwrap_or(Path::new("")).to_string_lossy();
    let old = Old {
        directory: directory.into_owned(),
        files,
    };
    let all = PolicyFile {
        directory: String::new(),
        name: NOWHERE.to_owned(),
        text: "!compat-4.0\n".to_owned(),
    };
    parse(&[all], &old, problems).map_err(without_origin)
}

/// The names of the files that somebody wrote.
pub fn written_files(sources: &SourceMap) -> impl Iterator<Item = &str> {
    let names = sources.files().map(|file| &*file.name);
    names.filter(|name| *name != NOWHERE)
}

/// Where the files came in from is nothing that somebody wrote.
fn without_origin(mut rejected: Rejected) -> Rejected {
    let sources = &rejected.sources;
    for diagnostic in &mut rejected.diagnostics {
        diagnostic.notes.retain(|note| {
            note.span
                .is_none_or(|span| &*sources.file(span.file).name != NOWHERE)
        });
    }
    rejected
}

/// Older files, as if there were no others.
struct Old {
    directory: String,
    files: BTreeMap<String, String>,
}

impl Includes for Old {
    fn read(&self, path: &str) -> Result<String, Unreadable> {
        let name = match self.directory.is_empty() {
            true => Some(path),
            false => path.strip_prefix(&*self.directory),
        };
        let name = name.map(|name| name.trim_start_matches('/'));
        match name.and_then(|name| self.files.get(name)) {
            Some(text) => Ok(text.clone()),
            // What a file includes lies beside it, or elsewhere.
            None => read(Path::new(path)),
        }
    }

    fn list(&self, _: &str) -> Result<Vec<String>, Unreadable> {
        Ok(self.files.keys().cloned().collect())
    }

    fn old_directory(&self) -> Option<String> {
        Some(self.directory.clone())
    }
}
