// SPDX-License-Identifier: GPL-3.0-or-later
//! The whole reference is a snapshot, so that a change of words is seen.

use crate::fixture::Fixture;

#[test]
fn the_help_names_every_command() {
    insta::assert_snapshot!(Fixture::alone().run(&["--help"]), @r"
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
      policy      Ask what policy says, check it, and change it
      trace       Say where the time of the last calls went
      label       Deal with labels
      status      Say what runs, and what is missing
      completion  Print a script with which a shell completes domains, services and everything else
      help        Print this message or the help of the given subcommand(s)

    Options:
          --json     Answer in JSON, where there is an answer
      -h, --help     Print help
      -V, --version  Print version

    Exit codes: 0 done, 1 failed, 2 wrong usage, 126 refused by policy or by the domain manager. A verb with
    others says so in its own help; `run` and `disposable` end as the command does.
    ");
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
          --class <CLASS>         AppVM, TemplateVM, DispVM (a disposable with a name) or RemoteVM (on another machine) [default: AppVM]
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
    insta::assert_snapshot!(Fixture::alone().run(&["policy", "explain", "--help"]), @r"
    Say what becomes of a call, and why

    Usage: bulkhead policy explain [OPTIONS] [SOURCE] [TARGET] [SERVICE]

    Arguments:
      [SOURCE]
              The domain that calls

      [TARGET]
              The domain that is called, as the caller names it: a name, @dispvm, @default …

      [SERVICE]
              The service, with `+ARGUMENT` if it has one

    Options:
          --batch
              Read a call per line as JSON, and answer each with a line of JSON

          --json
              Answer in JSON, where there is an answer

          --policy <DIR>
              A policy directory instead of the system's; several, highest priority first

          --old-policy <DIR>
              The directory that `!compat-4.0` reads; without it, `../../qubes-rpc/policy` as seen from the last policy directory

          --system <FILE>
              A file with the system information (JSON of `internal.GetSystemInfo`) instead of what the domain manager says

          --format <FORMAT>
              How to answer

              Possible values:
              - text: For people
              - json: For programs
              
              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    In JSON, an answer is one object:
      verdict           allow, ask, deny, or error when the call or the policy makes no sense
      reason            why not, for deny and error
      rule              the rule that decided: file, line, text
      target            where an allowed call goes: a name, dom0 or @dispvm:NAME
      targets           where a call may go that is asked for
      default_target    the one of them that is offered first
      user              who runs the service, when the rule says so
      autostart         whether a halted target is started
      notify            whether the user is told
      requested_target  the target as rules see it
      relay             for a remote domain: the domain that carries the call, and its service
      nearest           for a denial without a rule: the rules that come nearest (file, line, text),
                        with the fields that failed
      suggestion        the smallest rule that would allow exactly this call (rule), and the rule it
                        has to stand before (before: file, line)
      remarks           what else is remarkable
      grants            those that allow the call now whatever the verdict, as in `grants --json`; there
                        when the policy and the domains of this machine are asked about, one call at a time

    With --batch, a line is an object with the keys
      source            the domain that calls
      target            the target as the caller names it; without it, @default
      service           the service, with or without +ARGUMENT
      argument          the argument, where none stands behind the service
      requested_source  the remote domain that the caller speaks for, if any
      id                anything; the answer repeats it
    A line that is no such object, or has another key, is answered with the verdict error; the next one is
    read all the same.

    The exit code is 0 whatever the verdict is, also for a batch with errors in it; 1 when a single call
    makes no sense or there is no policy or system to ask; 2 for wrong usage.
    ");
}

/// Every verb of policy with all its options, so that one hand's words stay one hand's.
#[test]
fn the_help_of_policy_reads_as_one_text() {
    let fixture = Fixture::alone();
    let all = fixture.run(&["policy", "--help"]);
    let verbs = all.lines().skip_while(|line| *line != "Commands:").skip(1);
    let verbs = verbs.take_while(|line| !line.is_empty());
    let verbs: Vec<_> = verbs
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(verbs.len() > 20, "{verbs:?}");
    let mut text = all.clone();
    for verb in verbs.iter().filter(|verb| **verb != "help") {
        let help = fixture.run(&["policy", verb, "-h"]);
        text.push_str(&format!("\n# {verb}\n\n{help}"));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn each_verb_has_a_manual_page() {
    let fixture = Fixture::alone();
    std::fs::create_dir(fixture.path("man1")).unwrap();
    assert_eq!(fixture.run(&["manual", "man1"]), "The manual is in man1.\n");
    let page = std::fs::read_to_string(fixture.path("man1/bulkhead-policy-explain.1")).unwrap();
    for part in [
        "bulkhead\\-policy\\-explain",
        "Say what becomes of a call",
        "\\-\\-batch",
        "the verdict error",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let pages = std::fs::read_dir(fixture.path("man1")).unwrap();
    let pages: Vec<_> = pages.map(|page| page.unwrap().file_name()).collect();
    for name in [
        "bulkhead.1",
        "bulkhead-start.1",
        "bulkhead-policy-audit-verify.1",
    ] {
        assert!(pages.iter().any(|page| page == name), "{name}: {pages:?}");
    }
    // What only scripts ask has none.
    assert!(
        pages.iter().all(|page| page != "bulkhead-complete.1"),
        "{pages:?}"
    );
    fixture.write("file", "");
    insta::assert_snapshot!(fixture.run(&["manual", "file"]), @r"
    ! error: cannot write manual pages into file
    ! caused by: file exists
    [exit code 1]
    ");
}
