// SPDX-License-Identifier: GPL-3.0-or-later
//! A set of policy files, as it lies in a directory or would lie there after a change.

use std::path::{Path, PathBuf};

use bulkhead_policy::{
    Diagnostic, FileKind, Includes, Policy, PolicyFile, Rejected, SourceMap, System, Unreadable,
};
use policy_analysis::Expectations;
use policy_generations::{Files, StoreError, read_files};
use policyd::Disk;

/// A set of files that make up a policy.
#[derive(Clone, Debug)]
pub struct Set {
    base: PathBuf,
    old: Option<PathBuf>,
    files: Files,
}

/// What of a file of expectations is not met.
#[derive(Clone, Debug)]
pub struct Unmet {
    /// The expectations, or what is wrong with the file.
    pub failures: Vec<Diagnostic>,
    /// The text they stand in.
    pub sources: SourceMap,
}

impl Set {
    /// Reads a directory. `old` is where `!compat-4.0` finds older files.
    ///
    /// # Errors
    ///
    /// The directory cannot be read, or holds what cannot be part of a policy.
    pub fn read(base: &Path, old: Option<&Path>) -> Result<Self, StoreError> {
        Ok(Self::new(base, old, read_files(base)?))
    }

    /// A set of these files, as if they lay in the directory `base`.
    pub fn new(base: &Path, old: Option<&Path>, files: Files) -> Self {
        Self {
            base: base.to_owned(),
            old: old.map(Path::to_owned),
            files,
        }
    }

    /// Where a valid set brings in older files, which lie outside of it: file and line, or as much
    /// as is known.
    pub fn brings_in_older_files(&self) -> Option<String> {
        let without = Self {
            old: None,
            ..self.clone()
        };
        let rejected = without.policy().err()?;
        let place = rejected.diagnostics.iter().find_map(|error| error.span);
        let place = place.map(|span| rejected.sources.location(span).to_string());
        Some(place.unwrap_or_else(|| self.base.display().to_string()))
    }

    /// The directory.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The files by their path below the directory.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// A file's text, if there is such a file and it is text.
    pub fn text(&self, path: &str) -> Option<&str> {
        std::str::from_utf8(self.files.get(path)?).ok()
    }

    /// The set with another content of one file; `None` is without it.
    pub fn with(&self, path: &str, content: Option<&[u8]>) -> Self {
        let mut set = self.clone();
        match content {
            Some(content) => set.files.insert(path.to_owned(), content.to_owned()),
            None => set.files.remove(path),
        };
        set
    }

    /// The path below the directory that a name in messages means.
    pub fn inside<'p>(&self, name: &'p str) -> Option<&'p str> {
        let base = self.base.to_str()?.trim_end_matches('/');
        let path = name.strip_prefix(base)?.strip_prefix('/')?;
        self.files.contains_key(path).then_some(path)
    }

    /// The policy that the files amount to.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with any file.
    pub fn policy(&self) -> Result<Policy, Rejected> {
        let base = self.base.to_string_lossy().into_owned();
        let mut problems = Vec::new();
        let mut policies = Vec::new();
        for (name, bytes) in self.files.iter().filter(|(name, _)| !name.contains('/')) {
            match FileKind::of(name) {
                FileKind::Ignored => {}
                FileKind::BadName => problems.push(policyd::bad_name(&self.base.join(name))),
                FileKind::Policy => match std::str::from_utf8(bytes) {
                    Ok(text) => policies.push(PolicyFile {
                        directory: base.clone(),
                        name: name.clone(),
                        text: text.to_owned(),
                    }),
                    Err(_) => {
                        let path = self.base.join(name);
                        let message = format!("`{}` is not UTF-8", path.display());
                        problems.push(Diagnostic::global(message));
                    }
                },
            }
        }
        let includes = Held {
            base: base.trim_end_matches('/'),
            files: &self.files,
            disk: Disk::new(self.old.as_deref()),
        };
        policyd::parse(&policies, &includes, problems)
    }

    /// Which expectations of the set's own `*.test` files a policy does not meet.
    /// Those that declare no domains are about `around`.
    pub fn unmet(&self, policy: &Policy, around: &System) -> Vec<Unmet> {
        let tests = self.files.iter();
        let tests = tests.filter(|(path, _)| path.ends_with(".test") && !path.contains('/'));
        let unmet = tests.map(|(path, bytes)| {
            let name = self.base.join(path).display().to_string();
            let text = String::from_utf8_lossy(bytes);
            match Expectations::parse(&name, &text) {
                Ok(expectations) => Unmet {
                    failures: expectations.check(policy, around),
                    sources: expectations.sources().clone(),
                },
                Err(rejected) => Unmet {
                    failures: rejected.diagnostics,
                    sources: rejected.sources,
                },
            }
        });
        unmet.filter(|unmet| !unmet.failures.is_empty()).collect()
    }
}

/// Includes of a set: its own files from memory, whatever lies elsewhere from the disk.
struct Held<'a> {
    base: &'a str,
    files: &'a Files,
    disk: Disk<'a>,
}

impl Held<'_> {
    fn inside<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(self.base)?.strip_prefix('/')
    }
}

impl Includes for Held<'_> {
    fn read(&self, path: &str) -> Result<String, Unreadable> {
        let Some(inside) = self.inside(path) else {
            return self.disk.read(path);
        };
        let bytes = self.files.get(inside).ok_or(Unreadable::Missing)?;
        let text = String::from_utf8(bytes.clone());
        text.map_err(|_| Unreadable::Other("not UTF-8".to_owned()))
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, Unreadable> {
        let Some(inside) = self.inside(directory) else {
            return self.disk.list(directory);
        };
        let prefix = format!("{}/", inside.trim_end_matches('/'));
        let paths = self.files.keys();
        let names = paths.filter_map(|path| path.strip_prefix(&prefix));
        let names: Vec<_> = names.filter(|name| !name.contains('/')).collect();
        match names.is_empty() {
            true => Err(Unreadable::Missing),
            false => Ok(names.into_iter().map(str::to_owned).collect()),
        }
    }

    fn old_directory(&self) -> Option<String> {
        self.disk.old_directory()
    }
}
