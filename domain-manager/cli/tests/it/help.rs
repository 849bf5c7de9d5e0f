// SPDX-License-Identifier: GPL-3.0-or-later
//! The whole reference is a snapshot, so that a change of words is seen.

use crate::fixture::Fixture;

#[test]
fn the_help_names_every_command() {
    insta::assert_snapshot!(Fixture::alone().run(&["--help"]), @"");
}

#[test]
fn the_help_of_domain_names_every_verb() {
    insta::assert_snapshot!(Fixture::alone().run(&["domain", "--help"]), @"");
}

#[test]
fn the_help_of_create_tells_the_options() {
    insta::assert_snapshot!(Fixture::alone().run(&["create", "--help"]), @"");
}

#[test]
fn the_help_of_explain_tells_how_to_ask_offline() {
    insta::assert_snapshot!(Fixture::alone().run(&["policy", "explain", "--help"]), @"");
}
