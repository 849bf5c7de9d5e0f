// SPDX-License-Identifier: MIT OR Apache-2.0
//! Directives: what brings in which files, and how a circle ends.

use policy_samples::shown;
use policy_samples::small::load;

fn rules(text: &str, others: &[(&str, &str)]) -> String {
    let policy = load(text, others).unwrap_or_else(|rejected| panic!("{rejected}"));
    let rules = policy
        .rules()
        .map(|rule| format!("{}: {rule}\n", rule.location));
    rules.collect()
}

fn errors(text: &str, others: &[(&str, &str)]) -> String {
    shown(&load(text, others).unwrap_err())
}

#[test]
fn rules_come_in_where_the_directive_stands() {
    let found = rules(
        "a * * * deny\n!include include/x\nz * * * deny\n",
        &[
            ("/p/include/x", "m * * * allow\n!include include/y"),
            ("/p/include/y", "n * * * ask"),
        ],
    );
    insta::assert_snapshot!(found, @r"
    /p/30.policy:1: a * * * deny
    /p/include/x:1: m * * * allow
    /p/include/y:1: n * * * ask
    /p/30.policy:3: z * * * deny
    ");
}

#[test]
fn paths_start_at_the_directory_of_the_first_file_or_at_the_root() {
    let found = rules(
        "!include /else/where\n",
        &[
            ("/else/where", "!include near\n"),
            ("/p/near", "s * * * deny"),
        ],
    );
    insta::assert_snapshot!(found, @"/p/near:1: s * * * deny");
}

#[test]
fn a_directory_gives_its_policies_in_order() {
    let found = rules(
        "!include-dir more\n",
        &[
            ("/p/more/9.policy", "s * nine * deny"),
            ("/p/more/10.policy", "s * ten * deny"),
            ("/p/more/.8.policy", "bad"),
            ("/p/more/README", "bad"),
        ],
    );
    insta::assert_snapshot!(found, @r"
    /p/more/10.policy:1: s * ten * deny
    /p/more/9.policy:1: s * nine * deny
    ");
}

#[test]
fn a_file_of_the_older_form_takes_its_service_from_the_directive() {
    let found = rules(
        "!include-service my.Service +arg old\n",
        &[
            (
                "/p/old",
                "# comment\n$anyvm $dispvm allow,user=root\nwork $default ask,default_target=vault notify=no\n$include:other\n$include: other\n!include other",
            ),
            ("/p/other", "@tag:a $adminvm deny\n"),
        ],
    );
    insta::assert_snapshot!(found, @r"
    /p/old:2: my.Service +arg @anyvm @dispvm allow user=root
    /p/old:3: my.Service +arg work @default ask default_target=vault
    /p/other:1: my.Service +arg @tag:a @adminvm deny
    /p/other:1: my.Service +arg @tag:a @adminvm deny
    /p/other:1: my.Service +arg @tag:a @adminvm deny
    ");
}

#[test]
fn a_file_may_come_in_twice_but_never_into_itself() {
    let twice = rules("!include x\n!include x\n", &[("/p/x", "s * * * deny")]);
    assert_eq!(twice.lines().count(), 2);
    let found = errors(
        "s * * * deny\n!include a\n",
        &[
            ("/p/a", "!include b\n"),
            ("/p/b", "# deeper\n  !include a\n"),
        ],
    );
    insta::assert_snapshot!(found, @r"
    /p/b:2:3: error: `/p/a` includes itself
      |   !include a
      |   ^^^^^^^^^^ here the circle closes
      note: the circle: `/p/a` → `/p/b` → `/p/a`
      note: included from /p/a:1
      note: included from /p/30.policy:2
    ");
    let own = errors("!include 30.policy\n", &[("/p/30.policy", "")]);
    assert!(own.contains("`/p/30.policy` includes itself"), "{own}");
}

#[test]
fn neither_depth_nor_number_of_files_is_without_end() {
    let deep: Vec<_> = (0..100)
        .map(|n| (format!("/p/{n}"), format!("!include {}\n", n + 1)))
        .collect();
    let deep: Vec<_> = deep.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert!(errors("!include 0\n", &deep).contains("more than 32 deep"));
    // Ten files that each include the next one ten times would be 10^10 files.
    let wide: Vec<_> = (0..10)
        .map(|n| {
            (
                format!("/p/{n}"),
                format!("!include {}\n", n + 1).repeat(10),
            )
        })
        .chain([("/p/10".to_owned(), String::new())])
        .collect();
    let wide: Vec<_> = wide.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let found = load("!include 0\n", &wide).unwrap_err();
    assert!(found.diagnostics.len() < 5, "{}", found.diagnostics.len());
    assert!(found.to_string().contains("more than 4096 files"));
}

#[test]
fn directives_say_what_is_wrong_with_them() {
    let found = errors(
        "!include\n!include a b\n!include-dir nowhere\n!include missing\n!includ a\n\
         !include-service s x old\n!include-service * + old\n!compat-4.0\n",
        &[("/p/old", "")],
    );
    insta::assert_snapshot!(found, @r"
    /p/30.policy:1:1: error: expected `!include PATH`
      | !include
      | ^^^^^^^^ 0 words follow, not 1
    /p/30.policy:2:1: error: expected `!include PATH`
      | !include a b
      | ^^^^^^^^^^^^ 2 words follow, not 1
    /p/30.policy:3:14: error: cannot include the directory `/p/nowhere`: no such file or directory
      | !include-dir nowhere
      |              ^^^^^^^ 
    /p/30.policy:4:1: error: cannot include `/p/missing`: no such file or directory
      | !include missing
      | ^^^^^^^^^^^^^^^^ 
    /p/30.policy:5:1: error: there is no directive `!includ`
      | !includ a
      | ^^^^^^^ 
      help: did you mean `!include`?
    /p/30.policy:6:20: error: expected `*` or `+ARGUMENT`, found `x`
      | !include-service s x old
      |                    ^ not an argument
      help: did you mean `+x`?
    /p/30.policy:7:20: error: every service, but one argument
      | !include-service * + old
      |                    ^ expected `*`
      help: did you mean `*`?
    /p/30.policy:8:1: warning: there are no older files: `/old` does not exist
      | !compat-4.0
      | ^^^^^^^^^^^ 
      help: delete `!compat-4.0`; it does nothing
    ");
}

#[test]
fn an_older_file_knows_only_one_directive() {
    let found = errors(
        "!include-service s * old\n",
        &[(
            "/p/old",
            "!include-dir x\n$include:\n@include:other\nwork allow\n",
        )],
    );
    insta::assert_snapshot!(found, @r"
    /p/old:1:1: error: `!include-dir` cannot stand in a file of `!include-service`
      | !include-dir x
      | ^^^^^^^^^^^^^^ 
      note: included from /p/30.policy:1
      help: only `!include` can
    /p/old:2:1: error: expected `$include:PATH`
      | $include:
      | ^^^^^^^^^ 
      note: included from /p/30.policy:1
    /p/old:3:1: error: `@include:other` cannot stand in a file of `!include-service`
      | @include:other
      | ^^^^^^^^^^^^^^ 
      note: included from /p/30.policy:1
      help: only `!include` can
    /p/old:4:1: error: expected an action, found the end of the line
      | work allow
      | ^^^^^^^^^^ 2 of 3 fields
      note: a rule in a file of `!include-service` is `SOURCE TARGET ACTION [KEY=VALUE …]`
      note: included from /p/30.policy:1
    ");
}

#[test]
fn compat_brings_in_the_older_files_one_service_each() {
    let found = rules(
        "a * * * deny\n!compat-4.0\nz * * * deny\n",
        &[
            ("/old/my.Service", "work $dispvm allow\n"),
            ("/old/my.Service+b", "$include:also\n"),
            ("/old/my.Service+a", "$tag:x $anyvm ask,user=root\n"),
            ("/old/my.Other", "$anyvm dom0 deny\n"),
            ("/old/also", "work vault allow\n"),
            ("/old/.hidden", "bad"),
            ("/old/my.Other.rpmsave", "bad"),
            ("/old/my Service", "bad"),
            ("/p/also", "not this one"),
        ],
    );
    insta::assert_snapshot!(found, @r"
    /p/30.policy:1: a * * * deny
    /old/also:1: also * work vault allow
    /old/my.Other:1: my.Other * @anyvm @adminvm deny
    /old/my.Service+a:1: my.Service +a @tag:x @anyvm ask user=root
    /p/30.policy:2: my.Service +a @anyvm @anyvm deny
    /p/30.policy:2: my.Service +a @anyvm @adminvm deny
    /old/also:1: my.Service +b work vault allow
    /p/30.policy:2: my.Service +b @anyvm @anyvm deny
    /p/30.policy:2: my.Service +b @anyvm @adminvm deny
    /old/my.Service:1: my.Service * work @dispvm allow
    /p/30.policy:3: z * * * deny
    ");
    insta::assert_snapshot!(errors("!compat-4.0 x\n", &[("/old/a.B", "")]), @r"
    /p/30.policy:1:13: error: `!compat-4.0` stands alone
      | !compat-4.0 x
      |             ^
    ");
    insta::assert_snapshot!(errors("!compat-4.0\n", &[("/old/a.B", "!compat-4.0\nwork")]), @r"
    /old/a.B:1:1: error: `!compat-4.0` cannot stand in a file of `!include-service`
      | !compat-4.0
      | ^^^^^^^^^^^ 
      note: included from /p/30.policy:1
      help: only `!include` can
    /old/a.B:2:1: error: expected a target, found the end of the line
      | work
      | ^^^^ 1 of 3 fields
      note: a rule in a file of `!include-service` is `SOURCE TARGET ACTION [KEY=VALUE …]`
      note: included from /p/30.policy:1
    ");
}

#[test]
fn without_older_files_compat_is_only_worth_a_warning() {
    let policy = load("!compat-4.0\ns * * * deny\n", &[]).unwrap();
    assert_eq!(policy.rules().len(), 1);
    let warning = &policy.warnings()[0];
    assert_eq!(
        warning.message,
        "there are no older files: `/old` does not exist"
    );
}

/// A rule whose service is empty would be one that no call meets, and whose two denials stand there
/// all the same.
#[test]
fn an_older_file_that_begins_with_a_plus_is_about_no_service() {
    for name in ["+", "+arg", "++", "+a.B", "+my.Service+x"] {
        let path = format!("/old/{name}");
        let files = [(path.as_str(), "work vault allow\n"), ("/old/a.B", "")];
        let policy = load("!compat-4.0\n", &files).unwrap();
        assert_eq!(policy.rules().len(), 0, "{name}");
        assert_eq!(policy.warnings(), [], "{name}");
        // It is not even read.
        let read: Vec<_> = policy
            .sources()
            .files()
            .map(|f| f.name.to_string())
            .collect();
        assert_eq!(read, ["/p/30.policy", "/old/a.B"], "{name}");
    }
}
