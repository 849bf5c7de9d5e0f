// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is said about each mistake, and that one mistake does not hide another.

use bulkhead_policy::Policy;

use policy_samples::shown;
use policy_samples::small::{errors, policy};

#[test]
fn several_errors_are_told_at_once() {
    let found = errors(
        "# a comment\n\
         qubes.Filecopy * work vault alow\n\
         qubes.Filecopy * work vault deny\n\
         qubes.Filecopy arg @anyvn @tag: ask notfy=yes notify=maybe\n",
    );
    insta::assert_snapshot!(found, @r"
    p:2:29: error: expected `allow`, `deny` or `ask`, found `alow`
      | qubes.Filecopy * work vault alow
      |                             ^^^^ not an action
      note: a rule is `SERVICE ARGUMENT SOURCE TARGET ACTION [KEY=VALUE …]`
      help: did you mean `allow`?
    p:4:16: error: expected `*` or `+ARGUMENT`, found `arg`
      | qubes.Filecopy arg @anyvn @tag: ask notfy=yes notify=maybe
      |                ^^^ not an argument
      help: did you mean `+arg`?
    p:4:20: error: there is no keyword `@anyvn`
      | qubes.Filecopy arg @anyvn @tag: ask notfy=yes notify=maybe
      |                    ^^^^^^ unknown keyword
      note: keywords here are `@adminvm`, `@anyvm`, `@tag:`, `@type:`
      help: did you mean `@anyvm`?
    p:4:27: error: nothing follows `@tag:`
      | qubes.Filecopy arg @anyvn @tag: ask notfy=yes notify=maybe
      |                           ^^^^^ expected a name after the colon
    p:4:37: error: there is no option `notfy=`
      | qubes.Filecopy arg @anyvn @tag: ask notfy=yes notify=maybe
      |                                     ^^^^^ 
      note: `ask` takes `target=`, `default_target=`, `user=`, `autostart=`, `notify=`
      help: did you mean `notify`?
    p:4:54: error: expected `yes` or `no`, found `maybe`
      | qubes.Filecopy arg @anyvn @tag: ask notfy=yes notify=maybe
      |                                                      ^^^^^
    ");
}

#[test]
fn a_line_that_ends_too_early_says_what_is_missing() {
    insta::assert_snapshot!(errors("s\ns * work\ns work vault deny\n"), @r"
    p:1:1: error: expected an argument, found the end of the line
      | s
      | ^ 1 of 5 fields
      note: a rule is `SERVICE ARGUMENT SOURCE TARGET ACTION [KEY=VALUE …]`
    p:2:1: error: expected a target, found the end of the line
      | s * work
      | ^^^^^^^^ 3 of 5 fields
      note: a rule is `SERVICE ARGUMENT SOURCE TARGET ACTION [KEY=VALUE …]`
    p:3:3: error: the rule has no argument
      | s work vault deny
      |   ^^^^ this is the source
      note: a rule is `SERVICE ARGUMENT SOURCE TARGET ACTION [KEY=VALUE …]`
      help: write `s *` for any argument
    ");
}

#[test]
fn the_service_and_its_argument_are_two_fields() {
    insta::assert_snapshot!(errors("s+a work vault deny x\ns.* * * * deny\n* +a * * deny\ns +a/b * * deny\n"), @r"
    p:1:2: error: the argument is a field of its own
      | s+a work vault deny x
      |  ^^ expected a blank before this
      help: write `s +a`
    p:1:5: error: expected `*` or `+ARGUMENT`, found `work`
      | s+a work vault deny x
      |     ^^^^ not an argument
      help: did you mean `+work`?
    p:1:21: error: expected `allow`, `deny` or `ask`, found `x`
      | s+a work vault deny x
      |                     ^ not an action
      note: a rule is `SERVICE ARGUMENT SOURCE TARGET ACTION [KEY=VALUE …]`
    p:2:3: error: `*` cannot stand in a service name
      | s.* * * * deny
      |   ^ 
      help: there are no partial wildcards: `*` stands alone or not at all
    p:3:3: error: every service, but one argument
      | * +a * * deny
      |   ^^ expected `*`
      help: did you mean `*`?
    p:4:5: error: `/` cannot stand in an argument
      | s +a/b * * deny
      |     ^ 
      help: allowed are letters, digits, `_`, `-` and `.`
    ");
}

#[test]
fn keywords_have_their_places() {
    insta::assert_snapshot!(
        errors("s * @default vault deny\ns * @dispvm vault deny\ns * * @adminv deny\ns * * @dispvm:@type:x deny\ns * * @ deny\n"),
        @r"
    p:1:5: error: `@default` cannot be a source
      | s * @default vault deny
      |     ^^^^^^^^ only a target
      help: any domain is written `@anyvm`, dom0 as well `*`
    p:2:5: error: `@dispvm` cannot be a source
      | s * @dispvm vault deny
      |     ^^^^^^^ only a target
      help: running disposables are written `@type:DispVM`
    p:3:7: error: there is no keyword `@adminv`
      | s * * @adminv deny
      |       ^^^^^^^ unknown keyword
      note: keywords here are `@adminvm`, `@anyvm`, `@default`, `@dispvm`, `@dispvm:`, `@tag:`, `@type:`
      help: did you mean `@adminvm`?
    p:4:15: error: `@type:x` is not a disposable template
      | s * * @dispvm:@type:x deny
      |               ^^^^^^^ 
      help: write `@dispvm:NAME`, or `@dispvm:@tag:TAG` in a rule's target
    p:5:7: error: there is no keyword `@`
      | s * * @ deny
      |       ^ unknown keyword
      note: keywords here are `@adminvm`, `@anyvm`, `@default`, `@dispvm`, `@dispvm:`, `@tag:`, `@type:`
    "
    );
}

#[test]
fn options_have_their_actions_and_their_values() {
    insta::assert_snapshot!(
        errors(
            "s * * * deny target=a\n\
             s * * * allow default_target=a\n\
             s * * * allow target=@anyvm\n\
             s * * * allow target=*\n\
             s * * * allow target=\n\
             s * * * ask default_target=@tag:x\n\
             s * * * allow user=a user=b\n\
             s * * * allow autostart=true\n\
             s * * * allow autostart\n\
             s * * * allow # because\n"
        ),
        @r"
    p:1:14: error: `deny` takes no `target=`
      | s * * * deny target=a
      |              ^^^^^^ 
      note: `deny` takes `notify=`
    p:2:15: error: `allow` takes no `default_target=`
      | s * * * allow default_target=a
      |               ^^^^^^^^^^^^^^ 
      note: `allow` takes `target=`, `user=`, `autostart=`, `notify=`
    p:3:22: error: `@anyvm` is not one domain
      | s * * * allow target=@anyvm
      |                      ^^^^^^ where should the call go?
      help: name a domain, `@adminvm`, `@dispvm` or `@dispvm:TEMPLATE`
    p:4:22: error: `*` is not one domain
      | s * * * allow target=*
      |                      ^ where should the call go?
      help: name a domain, `@adminvm`, `@dispvm` or `@dispvm:TEMPLATE`
    p:5:22: error: expected a domain, found nothing
      | s * * * allow target=
      |                      ^ 
    p:6:28: error: `@tag:x` is not one domain
      | s * * * ask default_target=@tag:x
      |                            ^^^^^^ where should the call go?
      help: name a domain, `@adminvm`, `@dispvm` or `@dispvm:TEMPLATE`
    p:7:22: error: `user=` is given twice
      | s * * * allow user=a user=b
      |                      ^^^^ 
      note: first here
    p:8:25: error: expected `yes` or `no`, found `true`
      | s * * * allow autostart=true
      |                         ^^^^ 
      help: did you mean `yes`?
    p:9:15: error: expected `KEY=VALUE`, found `autostart`
      | s * * * allow autostart
      |               ^^^^^^^^^ 
      help: did you mean `autostart=…`?
    p:10:15: error: a comment cannot follow a rule
      | s * * * allow # because
      |               ^ 
      help: put it on a line of its own
    "
    );
}

#[test]
fn allowing_the_default_needs_a_target() {
    insta::assert_snapshot!(errors("s * * @default allow\n"), @r"
    p:1:7: error: the rule allows a call that names no target, and names none either
      | s * * @default allow
      |       ^^^^^^^^ 
      help: add `target=DOMAIN`, or write `ask`
    ");
    assert_eq!(
        policy("s * * @default allow target=a\ns * * @default ask\n")
            .rules()
            .len(),
        2
    );
}

#[test]
fn text_that_hides_something_is_refused() {
    insta::assert_snapshot!(
        errors("# harmless\r* * * * allow\ns * work\u{a0}x vault deny\u{200b}\n\u{202e}s * a b deny\ns * a\0 b deny\n"),
        @r"
    p:1:11: error: the line holds the unprintable character \u{d}
      | # harmless·* * * * allow
      |           ^ 
      help: delete the character
    p:2:22: error: the line holds the unprintable character \u{200b}
      | s * work·x vault deny·
      |                      ^ 
      help: delete the character
    p:3:1: error: the line holds the unprintable character \u{202e}
      | ·s * a b deny
      | ^ 
      help: delete the character
    p:4:6: error: the line holds the unprintable character \u{0}
      | s * a· b deny
      |      ^ 
      help: delete the character
    ",
    );
    let mark = errors("\u{feff}s * a b deny\n");
    assert!(mark.contains("a byte order mark"), "{mark}");
}

#[test]
fn line_ends_of_other_systems_and_missing_ones_are_fine() {
    let policy = policy("  # x\r\n\r\n\t s  *\ta b   deny  \r\ns * a b allow");
    let rules: Vec<_> = policy.rules().map(ToString::to_string).collect();
    assert_eq!(rules, ["s * a b deny", "s * a b allow"]);
    let lines: Vec<_> = policy.rules().map(|rule| rule.location.line).collect();
    assert_eq!(lines, [3, 4]);
}

#[test]
fn a_rule_prints_as_it_parses() {
    let text = "s +a uuid:11111111-1111-4111-8111-111111111111 @dispvm:@tag:x ask target=a user=u autostart=no notify=yes default_target=@dispvm:b";
    assert_eq!(policy(text).rules().next().unwrap().to_string(), text);
    let every = "* * dom0 @dispvm:uuid:x deny notify=no";
    assert_eq!(
        policy(every).rules().next().unwrap().to_string(),
        "* * @adminvm @dispvm:uuid:x deny notify=no"
    );
}

#[test]
fn what_can_never_match_is_a_warning() {
    let policy = policy("s * wörk uuid:X deny\ns * @dispvm:a b deny\n");
    assert_eq!(policy.rules().len(), 2);
    let rejected = bulkhead_policy::Rejected {
        diagnostics: policy.warnings().to_vec(),
        sources: policy.sources().clone(),
    };
    insta::assert_snapshot!(shown(&rejected), @r"
    p:1:5: warning: no domain can be called `wörk`: the rule never matches
      | s * wörk uuid:X deny
      |     ^^^^ 
      note: a domain name holds letters, digits, `_`, `.` and `-`, not 'ö'
    p:1:10: warning: no domain can be called `uuid:X`: the rule never matches
      | s * wörk uuid:X deny
      |          ^^^^^^ 
      note: a UUID has 36 characters, like 00000000-0000-0000-0000-000000000000
    p:2:5: warning: the rule never matches: a disposable that is asked for calls nobody
      | s * @dispvm:a b deny
      |     ^^^^^^^^^ 
      help: running disposables are written `@type:DispVM`
    ");
}

#[test]
fn a_rejected_policy_still_names_its_files() {
    let rejected = Policy::from_texts([("a", "bad"), ("b", "")]).unwrap_err();
    let names: Vec<_> = rejected
        .sources
        .files()
        .map(|f| f.name.to_string())
        .collect();
    assert_eq!(
        (names, rejected.errors()),
        (vec!["a".to_owned(), "b".to_owned()], 1)
    );
}
