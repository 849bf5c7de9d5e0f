// SPDX-License-Identifier: GPL-3.0-or-later
//! Which file of a policy directory is meant by a word.

use std::path::{Component, Path};

use bulkhead_policy::{FileKind, nearest};
use policy_administration::Set;

use crate::failure::Failure;

/// The file that is there: by its path below the directory, with or without `.policy`, or by its
/// whole path.
pub fn existing(set: &Set, word: &str) -> Result<String, Failure> {
    let path = below(set, word)?;
    let candidates = [path.clone(), format!("{path}.policy")];
    let found = candidates
        .into_iter()
        .find(|path| set.files().contains_key(path));
    found.ok_or_else(|| {
        let names = set.files().keys();
        let names = names.map(|name| name.strip_suffix(".policy").unwrap_or(name));
        let hint = match nearest(path.strip_suffix(".policy").unwrap_or(&path), names) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("`bulkhead policy new {word}` makes it"),
        };
        missing(set, &path).hint(hint)
    })
}

/// A file that is not there yet.
pub fn new(set: &Set, word: &str) -> Result<String, Failure> {
    let mut path = below(set, word)?;
    if !path.contains(['/', '.']) {
        path.push_str(".policy");
    }
    if !path.contains('/') && FileKind::of(&path) == FileKind::BadName {
        return Err(Failure::new(format!("`{path}` cannot name a policy file"))
            .hint("name it with `0-9`, `a-z`, `_`, `.` and `-`")
            .usage());
    }
    let read = path.contains('/') || path.ends_with(".policy") || path.ends_with(".test");
    if !read {
        eprintln!(
            "warning: `{path}` counts only where another file includes it: policy files end with `.policy`"
        );
    }
    match set.files().contains_key(&path) {
        false => Ok(path),
        true => Err(Failure::new(format!("`{path}` is there already"))
            .hint(format!("`bulkhead policy edit {word}` changes it"))),
    }
}

/// A rule's place in words: FILE:LINE.
pub fn place(set: &Set, word: &str) -> Result<(String, usize), Failure> {
    let place = word.rsplit_once(':');
    let place = place.and_then(|(file, line)| Some((file, line.parse().ok()?)));
    let (file, line) = place.ok_or_else(|| {
        Failure::new(format!("`{word}` is no place"))
            .hint("write it as FILE:LINE, as `bulkhead policy explain` shows it")
            .usage()
    })?;
    Ok((existing(set, file)?, line))
}

fn missing(set: &Set, path: &str) -> Failure {
    let base = set.base().display();
    Failure::new(format!("there is no `{path}` in {base}"))
}

fn below(set: &Set, word: &str) -> Result<String, Failure> {
    let path = Path::new(word);
    let path = path.strip_prefix(set.base()).unwrap_or(path);
    let plain = path.components().all(|part| match part {
        Component::Normal(name) => !name.to_string_lossy().starts_with('.'),
        _ => false,
    });
    match path.to_str().filter(|text| plain && !text.is_empty()) {
        Some(path) => Ok(path.to_owned()),
        None => Err(
            Failure::new(format!("`{word}` is no file of {}", set.base().display()))
                .hint("name it as in that directory, such as `30-user` or `include/NAME`")
                .usage(),
        ),
    }
}
