// SPDX-License-Identifier: MIT OR Apache-2.0
//! "Did you mean": the candidate that is nearest to a misspelt word.

/// The candidate that differs least from `word`, if it differs in a third of its letters at most.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let scored = candidates.into_iter().map(|candidate| {
        let (a, b) = (word.to_lowercase(), candidate.to_lowercase());
        // A word that only goes on too long, or stops too early, is near whatever its length.
        let begun = a.len() > 2 && b.len() > 2 && (a.starts_with(&b) || b.starts_with(&a));
        (if begun { 1 } else { distance(&a, &b) }, candidate)
    });
    let (distance, candidate) = scored.min_by_key(|(distance, _)| *distance)?;
    let limit = (candidate.chars().count().max(3) / 3).max(1);
    (distance <= limit).then(|| candidate.to_owned())
}

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_and_a_far_one_is_not() {
        let actions = ["allow", "deny", "ask"];
        assert_eq!(nearest("alow", actions).as_deref(), Some("allow"));
        assert_eq!(nearest("ALLOW", actions).as_deref(), Some("allow"));
        assert_eq!(nearest("dney", actions).as_deref(), Some("deny"));
        assert_eq!(nearest("denied", actions), None);
        assert_eq!(nearest("allowed", actions).as_deref(), Some("allow"));
        assert_eq!(nearest("reject", actions), None);
        assert_eq!(nearest("x", []), None);
    }
}
