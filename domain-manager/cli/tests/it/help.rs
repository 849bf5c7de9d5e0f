// SPDX-License-Identifier: GPL-3.0-or-later
//! The whole reference is a snapshot, so that a change of words is seen.

use crate::fixture::Fixture;

#[test]
fn the_help_names_every_command() {
    insta::assert_snapshot!(Fixture::alone().run(&["--help"]), @r#"
    Run each part of your life in a domain of its own

    Usage: bulkhead [OPTIONS] <COMMAND>

    Commands:
      ls          List the domains
      create      Create a domain
      remove      Remove halted domains with all they hold
      start       Start domains and wait until they answer
      stop        Shut domains down and wait until they have [alias: shutdown]
      kill        End domains at once
      report      Say where the time of a domain's last start went
      default     Choose what the system uses where nothing is named
      run         Run a command in a domain; its exit code is this one's
      open        Show a file of dom0 in a domain; changes made there are not taken back
      disposable  Run a command in a new disposable, which ends with it [alias: disp]
      copy        Copy a file of dom0 into a domain
      domain      Deal with domains
      template    Deal with templates
      policy      Ask what policy says
      label       Deal with labels
      status      Say what runs, and what is missing
      help        Print this message or the help of the given subcommand(s)

    Options:
          --json     Answer in JSON, where there is an answer
      -h, --help     Print help
      -V, --version  Print version
    "#);
}

#[test]
fn the_help_of_domain_names_every_verb() {
    insta::assert_snapshot!(Fixture::alone().run(&["domain", "--help"]), @r#"
    Deal with domains

    Usage: bulkhead domain [OPTIONS] <COMMAND>

    Commands:
      ls       List the domains
      create   Create a domain
      remove   Remove halted domains with all they hold
      start    Start domains and wait until they answer
      stop     Shut domains down and wait until they have [alias: shutdown]
      kill     End domains at once
      pause    Hold domains where they are
      unpause  Let paused domains go on
      info     Say all that is known of a domain
      get      Show a property of a domain, or all
      set      Set a property of a domain; `system` as the domain means the system's own
      reset    Return a property of a domain to its default
      help     Print this message or the help of the given subcommand(s)

    Options:
          --json  Answer in JSON, where there is an answer
      -h, --help  Print help
    "#);
}

#[test]
fn the_help_of_create_tells_the_options() {
    insta::assert_snapshot!(Fixture::alone().run(&["create", "--help"]), @r#"
    Create a domain

    Usage: bulkhead create [OPTIONS] <NAME>

    Arguments:
      <NAME>  The name

    Options:
          --class <CLASS>         AppVM, TemplateVM or DispVM (a disposable with a name) [default: AppVM]
          --json                  Answer in JSON, where there is an answer
          --template <TEMPLATE>   What it is based on; without it, the system's default
          --label <LABEL>         The colour of its frames
          --for-disposables       Let disposables be based on it
          --set <PROPERTY=VALUE>  A property to set
      -h, --help                  Print help
    "#);
}

#[test]
fn the_help_of_explain_tells_how_to_ask_offline() {
    insta::assert_snapshot!(Fixture::alone().run(&["policy", "explain", "--help"]), @r#"
    Say what becomes of a call, and why

    Usage: bulkhead policy explain [OPTIONS] <SOURCE> <TARGET> <SERVICE>

    Arguments:
      <SOURCE>   The domain that calls
      <TARGET>   The domain that is called, as the caller names it: a name, @dispvm, @default …
      <SERVICE>  The service, with `+ARGUMENT` if it has one

    Options:
          --json           Answer in JSON, where there is an answer
          --policy <DIR>   A policy directory instead of the system's; several, highest priority first
          --system <FILE>  A file with the system information instead of what the domain manager says
      -h, --help           Print help
    "#);
}
