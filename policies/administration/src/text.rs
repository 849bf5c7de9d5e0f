// SPDX-License-Identifier: GPL-3.0-or-later
//! Changes of a policy text by whole lines. Everything else stays, byte for byte.

/// A line of a policy text that holds a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleLine<'t> {
    /// Its number, from 1.
    pub number: usize,
    /// Its words.
    pub words: Vec<&'t str>,
}

/// The rule on a line, if there is one.
pub fn rule_line(text: &str, number: usize) -> Option<RuleLine<'_>> {
    let line = text.lines().nth(number.checked_sub(1)?)?;
    let words: Vec<_> = line.split_whitespace().collect();
    let rule = words
        .first()
        .is_some_and(|first| !first.starts_with(['#', '!']));
    rule.then_some(RuleLine { number, words })
}

/// The text with new lines before line `number`; above the comment that belongs to that line. One
/// past the last line is the end.
pub fn insert_rule(text: &str, number: usize, lines: &str) -> String {
    let mut at = number.saturating_sub(1);
    let before: Vec<_> = text.split_inclusive('\n').collect();
    if at < before.len() {
        at -= comment_above(&before[..at]);
    }
    let at = at.min(before.len());
    let (head, tail) = before.split_at(at);
    let mut changed = head.concat();
    let ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
    if !changed.is_empty() && !changed.ends_with('\n') {
        changed.push_str(ending);
    }
    for line in lines.lines() {
        changed.push_str(line);
        changed.push_str(ending);
    }
    changed.push_str(&tail.concat());
    changed
}

/// The text without line `number`; its comment stays unless `with_comment`.
pub fn remove_rule(text: &str, number: usize, with_comment: bool) -> String {
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let at = number.saturating_sub(1).min(lines.len());
    let above = if with_comment {
        comment_above(&lines[..at])
    } else {
        0
    };
    let rest = lines.get(at + 1..).unwrap_or_default();
    [&lines[..at - above], rest].concat().concat()
}

/// How many lines of comment stand directly above.
fn comment_above(lines: &[&str]) -> usize {
    let comments = lines.iter().rev();
    comments
        .take_while(|line| line.trim_start().starts_with('#'))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Head.\n\n# Why.\na * b c deny\n  d * e f allow  \n";

    #[test]
    fn a_rule_goes_above_the_comment_of_the_one_it_precedes() {
        let changed = insert_rule(TEXT, 4, "x * y z ask");
        let expected = "# Head.\n\nx * y z ask\n# Why.\na * b c deny\n  d * e f allow  \n";
        assert_eq!(changed, expected);
        let changed = insert_rule(TEXT, 5, "# New.\nx * y z ask");
        assert!(
            changed.contains("deny\n# New.\nx * y z ask\n  d *"),
            "{changed}"
        );
    }

    #[test]
    fn a_rule_at_the_end_begins_a_line_of_its_own() {
        assert_eq!(insert_rule("a * b c deny", 2, "x"), "a * b c deny\nx\n");
        assert_eq!(insert_rule("a\r\nb", 3, "x\ny"), "a\r\nb\r\nx\r\ny\r\n");
        assert_eq!(insert_rule("", 1, "x"), "x\n");
        assert_eq!(insert_rule("# End.\n", 2, "x"), "# End.\nx\n");
    }

    #[test]
    fn a_rule_goes_and_its_comment_stays_unless_it_is_meant_too() {
        let without = "# Head.\n\n# Why.\n  d * e f allow  \n";
        assert_eq!(remove_rule(TEXT, 4, false), without);
        assert_eq!(remove_rule(TEXT, 4, true), "# Head.\n\n  d * e f allow  \n");
        assert_eq!(remove_rule("a\nb", 2, false), "a\n");
    }

    #[test]
    fn a_comment_a_directive_and_an_empty_line_are_no_rules() {
        let text = "# a\n!include b\n\n c  * d e ask \n";
        let numbers: Vec<_> = (0..7).filter_map(|n| rule_line(text, n)).collect();
        assert_eq!(numbers.len(), 1);
        assert_eq!(numbers[0].words, ["c", "*", "d", "e", "ask"]);
    }
}
