// SPDX-License-Identifier: GPL-3.0-or-later
//! Reads policy directories from the disk. Plain files only, no runtime: the command line
//! uses this as well.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bulkhead_policy::{Diagnostic, FileKind, Includes, Policy, PolicyFile, Rejected, Unreadable};
use bulkhead_types::os_words;

use crate::old_style::{looks_old, old_style};

/// The largest policy file that is read, in bytes.
const FILE_MAX: u64 = 16 << 20;

/// A policy directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it may be missing. Of a machine's own directories the one for run-time
    /// replacements may, since it is gone after every start; the one of the configuration
    /// may not: with it its `deny` rules would be missing.
    pub optional: bool,
}

impl Directory {
    /// A directory that has to be there.
    pub fn required(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            path,
            optional: false,
        }
    }

    /// A directory that counts as empty when it is missing.
    pub fn optional(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            path,
            optional: true,
        }
    }

    /// A machine's own directories, highest priority first.
    pub fn of(layout: &bulkhead_types::Layout) -> Vec<Self> {
        let [runtime, configuration] = layout.policy_dirs();
        vec![Self::optional(runtime), Self::required(configuration)]
    }
}

/// Reads the policy that directories hold, highest priority first.
///
/// Of files with one name, the one in the first directory counts; the files are taken in the
/// byte order of their names (specification of qrexec, 2.1).
///
/// # Errors
///
/// Whatever is wrong with any file, included ones too, rejects the whole policy: a name that
/// may not be, a file that cannot be read or is not UTF-8, and every error in a text. All of
/// it is reported at once.
pub fn load_policy(directories: &[Directory]) -> Result<Policy, Rejected> {
    load_policy_beside(directories, old_directory(directories).as_deref())
}

/// As [`load_policy`], with the directory that `!compat-4.0` reads older files from.
///
/// # Errors
///
/// As [`load_policy`].
pub fn load_policy_beside(
    directories: &[Directory],
    old: Option<&Path>,
) -> Result<Policy, Rejected> {
    let mut problems = Vec::new();
    let mut chosen: BTreeMap<String, &Path> = BTreeMap::new();
    for directory in directories {
        let names = match list(&directory.path) {
            Ok(names) => names,
            Err(e) if e.kind() == io::ErrorKind::NotFound && directory.optional => continue,
            Err(e) => {
                let why = os_words(&e.to_string());
                let message = format!("cannot read `{}`: {why}", directory.path.display());
                let help = "create the directory; an empty one denies every call";
                problems.push(match e.kind() {
                    io::ErrorKind::NotFound => Diagnostic::global(message).help(help),
                    io::ErrorKind::NotADirectory => {
                        Diagnostic::global(message).help("name the directory that holds it")
                    }
                    _ => Diagnostic::global(message),
                });
                continue;
            }
        };
        for name in names {
            match FileKind::of(&name) {
                FileKind::Ignored => {}
                FileKind::Policy => {
                    chosen.entry(name).or_insert(&directory.path);
                }
                FileKind::BadName => problems.push(bad_name(&directory.path.join(&name))),
            }
        }
    }
    let mut files = Vec::new();
    for (name, directory) in chosen {
        let path = directory.join(&name);
        match read(&path) {
            Ok(text) => files.push(PolicyFile {
                directory: directory.to_string_lossy().into_owned(),
                name,
                text,
            }),
            Err(why) => {
                let message = format!("cannot read `{}`: {why}", path.display());
                problems.push(Diagnostic::global(message));
            }
        }
    }
    parse(&files, &Disk::new(old), problems)
}

/// What is said of a file that is meant as a policy, but has a name that may not be.
pub fn bad_name(path: &Path) -> Diagnostic {
    let message = format!("`{}` is badly named", path.display());
    Diagnostic::global(message)
        .help("name it with `0-9`, `a-z`, `_`, `.` and `-`, or without `.policy` to disable it")
}

/// Parses what was read; what could not be read counts as an error of the policy.
///
/// # Errors
///
/// As [`load_policy`].
pub fn parse(
    files: &[PolicyFile],
    includes: &dyn Includes,
    mut problems: Vec<Diagnostic>,
) -> Result<Policy, Rejected> {
    let loaded = Policy::load(files, includes);
    if problems.is_empty() {
        return loaded;
    }
    let (diagnostics, sources) = match loaded {
        Ok(policy) => (policy.warnings().to_vec(), policy.sources().clone()),
        Err(rejected) => (rejected.diagnostics, rejected.sources),
    };
    problems.extend(diagnostics);
    Err(Rejected {
        diagnostics: problems,
        sources,
    })
}

/// Reads files that make up a policy by themselves, in the byte order of their names. What they
/// include is looked for beside them.
///
/// # Errors
///
/// As [`load_policy`]; and for a file of the older style, which has to be read as one.
pub fn load_files(paths: &[PathBuf], old: Option<&Path>) -> Result<Policy, Rejected> {
    let mut problems = Vec::new();
    let mut files = Vec::new();
    for path in paths {
        let directory = path.parent().unwrap_or(Path::new(""));
        let text = read(path);
        let old = text.as_ref().ok().and_then(|text| old_style(path, text));
        if let Some(service) = old {
            problems.push(looks_old(path, &service));
            continue;
        }
        match text {
            Ok(text) => files.push(PolicyFile {
                directory: directory.to_string_lossy().into_owned(),
                name: path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                text,
            }),
            Err(why) => {
                let message = format!("cannot read `{}`: {why}", path.display());
                problems.push(Diagnostic::global(message));
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    parse(&files, &Disk::new(old), problems)
}

/// Where older files lie: for `…/etc/qubes/policy.d`, as for `…/etc/bulkhead/policy.d`, in
/// `…/etc/qubes-rpc/policy`. The last directory counts, which is that of the configuration.
fn old_directory(directories: &[Directory]) -> Option<PathBuf> {
    let last = &directories.last()?.path;
    // What is above a path that begins here is above here.
    let whole = match last.is_absolute() {
        true => last.clone(),
        false => fs::canonicalize(last).ok()?,
    };
    let configuration = whole.parent()?.parent()?;
    Some(configuration.join("qubes-rpc/policy"))
}

/// Includes from the disk.
#[derive(Clone, Copy, Debug)]
pub struct Disk<'a> {
    old: Option<&'a Path>,
}

impl<'a> Disk<'a> {
    /// With the directory that `!compat-4.0` reads older files from.
    pub fn new(old: Option<&'a Path>) -> Self {
        Self { old }
    }
}

impl Includes for Disk<'_> {
    fn read(&self, path: &str) -> Result<String, Unreadable> {
        read(Path::new(path))
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, Unreadable> {
        list(Path::new(directory)).map_err(unreadable)
    }

    fn old_directory(&self) -> Option<String> {
        Some(self.old?.to_string_lossy().into_owned())
    }
}

/// The names of the regular files in a directory; links are followed.
fn list(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // A dangling link with a policy's name is kept: reading it will say what is wrong.
        let directory = fs::metadata(entry.path()).is_ok_and(|m| m.is_dir());
        if !directory {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

pub(crate) fn read(path: &Path) -> Result<String, Unreadable> {
    // Asked before it is opened: opening a pipe would wait for its writer.
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Unreadable::Other("not a regular file".to_owned()));
    }
    if metadata.len() > FILE_MAX {
        let limit = FILE_MAX >> 20;
        return Err(Unreadable::Other(format!("larger than {limit} MiB")));
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|e| {
        let line = 1 + e.as_bytes()[..e.utf8_error().valid_up_to()]
            .iter()
            .filter(|b| **b == b'\n')
            .count();
        Unreadable::Other(format!("line {line} is not UTF-8"))
    })
}

fn unreadable(error: io::Error) -> Unreadable {
    match error.kind() {
        io::ErrorKind::NotFound => Unreadable::Missing,
        _ => Unreadable::Other(os_words(&error.to_string())),
    }
}
