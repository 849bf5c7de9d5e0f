// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy fmt`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use policy_analysis::format_policy;

use super::arguments::Fmt;
use super::source;
use crate::client::Client;
use crate::failure::Failure;
use crate::list::print;

pub fn fmt(client: &Client, asked: &Fmt) -> Result<u8, Failure> {
    if asked.files == [Path::new("-")] {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        read.map_err(|error| Failure::new("cannot read standard input").because(&error))?;
        let formatted = format_policy(&text);
        if !asked.check {
            print(&formatted)?;
        }
        return Ok(u8::from(asked.check && formatted != text));
    }
    let files = match asked.files.is_empty() {
        true => source::policy_files(&source::directories(client, &asked.policy))?,
        false => asked.files.clone(),
    };
    let mut changed = 0;
    for file in files {
        let name = file.display();
        let text = std::fs::read_to_string(&file)
            .map_err(|error| Failure::new(format!("cannot read {name}")).because(&error))?;
        let formatted = format_policy(&text);
        if formatted == text {
            continue;
        }
        changed += 1;
        if asked.check {
            print(&format!("{name}\n"))?;
        } else {
            replace(&file, &formatted)
                .map_err(|error| Failure::new(format!("cannot write {name}")).because(&error))?;
        }
    }
    Ok(u8::from(asked.check && changed > 0))
}

/// Puts a new content in a file's place, so that nobody ever reads half of it.
fn replace(file: &PathBuf, text: &str) -> std::io::Result<()> {
    // A link stays one; what it points to is replaced.
    let file = std::fs::canonicalize(file)?;
    let directory = file.parent().unwrap_or(Path::new("."));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // Hidden, so that it is no policy while it is there.
    let new = directory.join(format!(".{name}.new"));
    let written = std::fs::File::create(&new).and_then(|mut out| {
        out.write_all(text.as_bytes())?;
        out.set_permissions(std::fs::metadata(&file)?.permissions())?;
        out.sync_all()
    });
    let moved = written.and_then(|()| std::fs::rename(&new, &file));
    if moved.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    moved
}
