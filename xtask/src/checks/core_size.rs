// SPDX-License-Identifier: GPL-3.0-or-later
//! What decides stays small enough to be read.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use crate::checkout;

/// What decides a call once the policy has been read: rules and how they are found, the system,
/// the verdict, permissions with an end, and the record without which nothing is answered.
const DECIDES: [&str; 19] = [
    "policies/language/src/bound.rs",
    "policies/language/src/call.rs",
    "policies/language/src/choices.rs",
    "policies/language/src/compiled.rs",
    "policies/language/src/hash.rs",
    "policies/language/src/index.rs",
    "policies/language/src/pattern.rs",
    "policies/language/src/places.rs",
    "policies/language/src/policy.rs",
    "policies/language/src/rule.rs",
    "policies/language/src/rules.rs",
    "policies/language/src/system.rs",
    "policies/language/src/target.rs",
    "policies/language/src/verdict.rs",
    "policies/daemon/src/grants.rs",
    "policies/ledger/src/chain.rs",
    "policies/ledger/src/key.rs",
    "policies/ledger/src/record.rs",
    "policies/ledger/src/writer.rs",
];

/// So many lines of code, without comments, blank lines and tests.
const MOST: usize = 3_000;

/// Counts the lines of what decides, and of the language crate with its reader of texts; fails when
/// what decides has grown past the promise.
pub fn core_size() -> anyhow::Result<()> {
    let mut core = 0;
    for file in DECIDES {
        core += lines(&checkout().join(file))?;
    }
    let language = of_folder(&checkout().join("policies/language/src"))?;
    println!("{core} lines of code decide; the language crate has {language}");
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
