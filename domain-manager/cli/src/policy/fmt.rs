// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy fmt`.

use std::io::Read;
use std::path::Path;

use policy_administration::replace_file;
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
            replace_file(&file, formatted.as_bytes())
                .map_err(|error| Failure::new(format!("cannot write {name}")).because(&error))?;
        }
    }
    Ok(u8::from(asked.check && changed > 0))
}
