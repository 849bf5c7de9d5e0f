// SPDX-License-Identifier: GPL-3.0-or-later
//! The shipped policies say what the files beside them expect.

use std::fs;
use std::path::{Path, PathBuf};

use bulkhead_policy::System;
use policy_analysis::Expectations;
use policyd::{Directory, load_policy, render};

fn defaults() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../defaults")
}

fn check(directories: &[Directory], test: &Path) -> usize {
    let policy = load_policy(directories).unwrap_or_else(|rejected| {
        panic!(
            "{}",
            render(&rejected.diagnostics, &rejected.sources, false)
        )
    });
    assert!(policy.warnings().is_empty(), "{:?}", policy.warnings());
    let text = fs::read_to_string(test).unwrap();
    let name = test.file_name().unwrap().to_string_lossy();
    let expectations = Expectations::parse(&name, &text).unwrap_or_else(|rejected| {
        panic!(
            "{}",
            render(&rejected.diagnostics, &rejected.sources, false)
        )
    });
    let failed = expectations.check(&policy, &System::default());
    assert!(
        failed.is_empty(),
        "\n{}",
        render(&failed, expectations.sources(), false)
    );
    expectations.len()
}

#[test]
fn the_default_policy_meets_its_expectations() {
    let checked = check(
        &[Directory::required(defaults())],
        &defaults().join("90-default.test"),
    );
    assert!(checked > 50);
}

#[test]
fn the_example_meets_its_expectations_together_with_the_default() {
    let examples = defaults().join("examples");
    let directories = [
        Directory::required(&examples),
        Directory::required(defaults()),
    ];
    assert!(check(&directories, &examples.join("30-user.test")) > 5);
}

#[test]
fn each_service_of_the_default_policy_has_an_expectation() {
    let policy = load_policy(&[Directory::required(defaults())]).unwrap();
    let test = fs::read_to_string(defaults().join("90-default.test")).unwrap();
    let words: Vec<_> = test.split([' ', '+', '\n']).collect();
    let untested: Vec<_> = policy
        .rules()
        .map(|rule| rule.service.to_string())
        .filter(|service| !words.contains(&service.as_str()))
        .collect();
    assert!(untested.is_empty(), "{untested:?}");
}
