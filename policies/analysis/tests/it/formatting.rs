// SPDX-License-Identifier: GPL-3.0-or-later
//! One layout for policy files.

use bulkhead_policy::Policy;
use policy_analysis::format_policy;
use proptest::prelude::*;

use policy_samples::random;

#[test]
fn fields_stand_below_each_other_and_comments_stay() {
    let text = "\n\n# Files   go where\n  # they are safe.\nqubes.Filecopy * work personal allow\n\
                qubes.OpenInVM\t+ @tag:office  @dispvm   ask  default_target=@dispvm   user=root\r\n\
                \n\n\n!include   include/x \nnot a rule\n* * * * deny notify=no";
    insta::assert_snapshot!(format_policy(text), @r"
    # Files   go where
    # they are safe.
    qubes.Filecopy  *  work         personal  allow
    qubes.OpenInVM  +  @tag:office  @dispvm   ask default_target=@dispvm user=root

    !include include/x
    not a rule
    *  *  *  *  deny notify=no
    ");
    assert_eq!(format_policy(""), "");
    assert_eq!(format_policy("\n \n"), "");
}

fn meaning(text: &str) -> Vec<String> {
    let policy = Policy::from_texts([("p", text)]).unwrap();
    policy.rules().map(ToString::to_string).collect()
}

proptest! {
    #[test]
    fn laying_out_twice_changes_nothing_and_once_no_rule(
        rules in random::rules(),
        gaps in proptest::collection::vec("[ \\t]{1,3}", 8),
        ends in proptest::collection::vec(proptest::sample::select(&["\n", " \r\n", "\n\n\n", "\n#  c\n"][..]), 14),
    ) {
        let spread = |rule: &String| {
            let words = rule.split(' ').zip(gaps.iter().cycle());
            words.map(|(word, gap)| format!("{word}{gap}")).collect::<String>()
        };
        let lines = rules.iter().zip(ends);
        let text: String = lines.map(|(rule, end)| spread(rule) + end).collect();
        let once = format_policy(&text);
        prop_assert_eq!(meaning(&once), meaning(&text));
        prop_assert_eq!(format_policy(&once), once);
    }

    #[test]
    fn any_text_can_be_laid_out_and_keeps_its_words(text in "[#!a-z@*\\n\\t =é]{0,60}") {
        let once = format_policy(&text);
        prop_assert_eq!(format_policy(&once), &*once);
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(words(&once), words(&text));
    }
}
