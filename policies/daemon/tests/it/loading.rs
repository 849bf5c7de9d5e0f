// SPDX-License-Identifier: GPL-3.0-or-later
//! Policy directories on the disk.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use policyd::{Directory, load_policy, render};

fn write(root: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn rules(directories: &[Directory]) -> Vec<String> {
    let policy = load_policy(directories).unwrap();
    policy.rules().map(ToString::to_string).collect()
}

fn rejection(root: &Path, directories: &[Directory]) -> String {
    let rejected = load_policy(directories).unwrap_err();
    let text = render(&rejected.diagnostics, &rejected.sources, false);
    text.replace(&*root.to_string_lossy(), "ROOT")
}

#[test]
fn files_count_once_in_the_byte_order_of_their_names() {
    let root = tempfile::tempdir().unwrap();
    let (run, etc) = (root.path().join("run"), root.path().join("etc"));
    write(
        root.path(),
        &[
            ("etc/9.policy", "last * a b deny\n"),
            ("etc/10.policy", "first * a b deny\n"),
            ("etc/20.policy", "replaced * a b deny\n"),
            ("etc/.30.policy", "hidden"),
            ("etc/30.policy.bak", "ignored"),
            ("etc/dir.policy/x", "a directory is no file"),
            ("elsewhere", "linked * a b deny\n"),
            ("run/20.policy", "replacement * a b deny\n"),
        ],
    );
    symlink("../elsewhere", etc.join("15.policy")).unwrap();
    let found = rules(&[Directory::optional(run), Directory::required(etc)]);
    let services: Vec<_> = found.iter().filter_map(|r| r.split(' ').next()).collect();
    assert_eq!(services, ["first", "linked", "replacement", "last"]);
}

#[test]
fn whatever_cannot_be_read_rejects_the_whole() {
    let root = tempfile::tempdir().unwrap();
    let etc = root.path().join("etc");
    write(
        root.path(),
        &[
            ("etc/10-Good.policy", "a * b c deny\n"),
            ("etc/20-good.policy", "a * b c deny\n"),
            ("etc/40-bad.policy", "a * b c denied\n"),
        ],
    );
    fs::write(etc.join("30-latin.policy"), b"# ok\n# caf\xe9\n").unwrap();
    symlink("nowhere", etc.join("50-gone.policy")).unwrap();
    insta::assert_snapshot!(rejection(root.path(), &[Directory::required(&etc)]), @r"
    error: `ROOT/etc/10-Good.policy` is badly named
     |
     = help: name it with `0-9`, `a-z`, `_`, `.` and `-`, or without `.policy` to disable it

    error: cannot read `ROOT/etc/30-latin.policy`: line 2 is not UTF-8

    error: cannot read `ROOT/etc/50-gone.policy`: no such file or directory

    error: expected `allow`, `deny` or `ask`, found `denied`
     --> ROOT/etc/40-bad.policy:1:9
      |
    1 | a * b c denied
      |         ^^^^^^ not an action
      |
      = note: a rule is `SERVICE ARGUMENT SOURCE TARGET ACTION [KEY=VALUE …]`
    ");
}

#[test]
fn an_error_in_an_included_file_shows_the_way_there() {
    let root = tempfile::tempdir().unwrap();
    write(
        root.path(),
        &[
            ("etc/30-user.policy", "# mine\n!include include/outer\n"),
            (
                "etc/include/outer",
                "!include-service my.Service * include/inner\n",
            ),
            ("etc/include/inner", "$anyvm work allow,taget=vault\n"),
        ],
    );
    let etc = Directory::required(root.path().join("etc"));
    insta::assert_snapshot!(rejection(root.path(), &[etc]), @r"
    error: there is no option `taget=`
     --> ROOT/etc/include/inner:1:19
      |
    1 | $anyvm work allow,taget=vault
      |                   ^^^^^
      |
      = note: `allow` takes `target=`, `user=`, `autostart=`, `notify=`
      = help: did you mean `target`?
    note: included from ROOT/etc/include/outer:1
     --> ROOT/etc/include/outer:1:1
      |
    1 | !include-service my.Service * include/inner
      | -------------------------------------------
    note: included from ROOT/etc/30-user.policy:2
     --> ROOT/etc/30-user.policy:2:1
      |
    2 | !include include/outer
      | ----------------------
    ");
}

#[test]
fn a_directory_is_included_in_the_order_of_its_names() {
    let root = tempfile::tempdir().unwrap();
    write(
        root.path(),
        &[
            (
                "etc/30-user.policy",
                "!include-dir more.d\nlast * a b deny\n",
            ),
            ("etc/more.d/2.policy", "second * a b deny\n"),
            ("etc/more.d/1.policy", "first * a b deny\n"),
            ("etc/more.d/README", "not a rule"),
        ],
    );
    let found = rules(&[Directory::required(root.path().join("etc"))]);
    assert_eq!(
        found,
        ["first * a b deny", "second * a b deny", "last * a b deny"]
    );
}
