// SPDX-License-Identifier: GPL-3.0-or-later
//! What decides stays small enough to be read.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use crate::checkout;

/// What makes a policy and decides by it, whole: from the words of a line to the verdict.
const LANGUAGE: &str = "policies/language/src";

/// What else a call depends on: how a line is cut into words, permissions with an end, and the
/// record without which nothing is answered.
const DECIDES: [&str; 8] = [
    "policies/text/src/words.rs",
    "policies/daemon/src/grants/mod.rs",
    "policies/daemon/src/grants/ending.rs",
    "policies/ledger/src/writer.rs",
    "policies/ledger/src/record.rs",
    "policies/ledger/src/chain.rs",
    "policies/ledger/src/head.rs",
    "policies/ledger/src/seal.rs",
];

/// What is told to whoever decides, or tells what is wrong; it decides nothing.
const AROUND: [&str; 6] = [
    "policies/system/src/system.rs",
    "policies/system/src/document.rs",
    "policies/system/src/hash.rs",
    "policies/text/src/diagnostic.rs",
    "policies/text/src/place.rs",
    "policies/text/src/nearest.rs",
];

/// So many lines of code, without comments, blank lines and tests.
const MOST: usize = 3_000;

/// Counts the lines of the decision core: the language crate, the check and the end of grants and what adds a
/// record to the ledger. Fails when that has grown past the promise.
///
/// A line counts that is neither blank nor only a comment, above a file's tests. Long lines gain
/// nothing: the formatter breaks them.
pub fn core_size() -> anyhow::Result<()> {
    let language = of_folder(&checkout().join(LANGUAGE))?;
    let mut core = language;
    for file in DECIDES {
        core += lines(&checkout().join(file))?;
    }
    let mut around = 0;
    for file in AROUND {
        around += lines(&checkout().join(file))?;
    }
    println!("{core} lines of code decide, {language} of them the language crate's");
    println!("the system's information, and diagnostics as data, have {around}");
    if core > MOST {
        bail!("what decides has {core} lines of code, and may have {MOST}");
    }
    Ok(())
}

fn of_folder(folder: &Path) -> anyhow::Result<usize> {
    let mut all = 0;
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        all += match path.is_dir() {
            true => of_folder(&path)?,
            false => lines(&path)?,
        };
    }
    Ok(all)
}

/// Tests stand at the end of a file.
fn lines(file: &Path) -> anyhow::Result<usize> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let code = text.lines().take_while(|line| *line != "#[cfg(test)]");
    let code = code.map(str::trim);
    let code = code.filter(|line| !line.is_empty() && !line.starts_with("//"));
    Ok(code.count())
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_decides_is_no_larger_than_promised() {
        super::core_size().unwrap();
    }
}
