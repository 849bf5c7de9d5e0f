// SPDX-License-Identifier: GPL-3.0-or-later
//! Every dependency's licence has to be one that `deny.toml` allows.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::checkout;
use crate::progress::cargo;

/// Fails, naming the package, when a licence is missing or not allowed.
pub fn licences() -> anyhow::Result<()> {
    let allowed = allowed(&std::fs::read_to_string(checkout().join("deny.toml"))?);
    let output = cargo(&["metadata", "--format-version", "1", "--locked"])
        .arg("--all-features")
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(checkout())
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cargo metadata")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let mut refused = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or("?");
        let licence = package["license"].as_str().unwrap_or("none");
        if !is_allowed(licence, &allowed) {
            refused.push(format!("{name}: {licence}"));
        }
    }
    if !refused.is_empty() {
        bail!(
            "licences that deny.toml does not allow:\n  {}",
            refused.join("\n  ")
        );
    }
    println!("{} packages, every licence is allowed", packages.len());
    Ok(())
}

/// The quoted entries of the list `allow` in deny.toml.
fn allowed(text: &str) -> BTreeSet<String> {
    let list = text.split_once("allow = [").map_or("", |(_, rest)| rest);
    let list = list.split_once(']').map_or("", |(list, _)| list);
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Reads an SPDX expression: alternatives of conjunctions, with brackets.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.replace('/', " OR ");
    let expression = expression.trim();
    let alternatives = split_outside_brackets(expression, " OR ");
    if alternatives.len() > 1 {
        return alternatives.iter().any(|part| is_allowed(part, allowed));
    }
    let together = split_outside_brackets(expression, " AND ");
    if together.len() > 1 {
        return together.iter().all(|part| is_allowed(part, allowed));
    }
    match expression
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
    {
        Some(inner) => is_allowed(inner, allowed),
        None => allowed.contains(expression),
    }
}

fn split_outside_brackets<'t>(text: &'t str, separator: &str) -> Vec<&'t str> {
    let mut depth = 0;
    let mut start = 0;
    let mut parts = Vec::new();
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && at >= start && text[at..].starts_with(separator) => {
                parts.push(&text[start..at]);
                start = at + separator.len();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_allowed_when_one_alternative_is() {
        let allowed = allowed("[licenses]\nallow = [\n \"MIT\",\n \"ISC\",\n]\n");
        for good in [
            "MIT",
            "GPL-2.0 OR MIT",
            "MIT/Apache-2.0",
            "MIT AND ISC",
            "(MIT OR X) AND ISC",
        ] {
            assert!(is_allowed(good, &allowed), "{good}");
        }
        for bad in ["none", "GPL-2.0", "MIT AND X", "X OR (MIT AND Y)", ""] {
            assert!(!is_allowed(bad, &allowed), "{bad}");
        }
    }
}
