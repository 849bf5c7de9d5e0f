// SPDX-License-Identifier: MIT OR Apache-2.0
//! "Did you mean": the candidate that is nearest to a misspelt word.

/// The candidate that differs least from `word`, if it differs in a third of its letters at most.
///
/// Words with dots, as services have, are held against each other behind the parts that they have in
/// common: every service of Qubes begins with `qubes.`, which makes none of them like another.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let word = word.to_lowercase();
    let scored = candidates.into_iter().filter_map(|candidate| {
        let lower = candidate.to_lowercase();
        let (a, b) = behind_common_parts(&word, &lower);
        // A word that only goes on too long, or stops too early, is near whatever its length.
        let begun = a.len() > 2 && b.len() > 2 && (a.starts_with(b) || b.starts_with(a));
        let distance = if begun { 1 } else { distance(a, b) };
        let limit = (b.chars().count().max(3) / 3).max(1);
        (distance <= limit).then_some((distance, candidate))
    });
    let (_, candidate) = scored.min_by_key(|(distance, _)| *distance)?;
    Some(candidate.to_owned())
}

/// Two words without the parts, each ended by a dot, with which both begin.
fn behind_common_parts<'w>(a: &'w str, b: &'w str) -> (&'w str, &'w str) {
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let end = a.as_bytes()[..same].iter().rposition(|byte| *byte == b'.');
    end.map_or((a, b), |dot| (&a[dot + 1..], &b[dot + 1..]))
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

    #[test]
    fn what_services_have_in_common_makes_none_like_another() {
        let services = ["qubes.Gpg", "qubes.USB", "qubes.Filecopy", "admin.vm.Kill"];
        assert_eq!(nearest("qubes.X", services), None);
        assert_eq!(nearest("qubes.Restore", services), None);
        assert_eq!(nearest("qubes.", services), None);
        let found = [
            ("qubes.FileCopy", "qubes.Filecopy"),
            ("qubes.Filecpoy", "qubes.Filecopy"),
            ("qubse.Filecopy", "qubes.Filecopy"),
            ("qubes.Gpg2", "qubes.Gpg"),
            ("admin.vm.Kil", "admin.vm.Kill"),
        ];
        for (word, service) in found {
            assert_eq!(nearest(word, services).as_deref(), Some(service), "{word}");
        }
    }
}
