// SPDX-License-Identifier: GPL-3.0-or-later
//! What somebody has changed in the quotas, in words for the ledger.

use super::Quota;

/// What is set, changed or removed in `after`, one line each. The order counts where several quotas fit a call.
pub(super) fn changes(before: &[Quota], after: &[Quota]) -> Vec<String> {
    let of = |quotas: &[Quota], name: &str| -> Option<Quota> {
        quotas.iter().find(|quota| quota.name() == name).cloned()
    };
    let mut told = Vec::new();
    for quota in after {
        let name = quota.name();
        match of(before, &name) {
            Some(old) if old == *quota => {}
            Some(old) => told.push(format!(
                "{name}: {}; before: {}",
                limits(quota),
                limits(&old)
            )),
            None => told.push(format!("{name}: {}", limits(quota))),
        }
    }
    for old in before {
        let name = old.name();
        if of(after, &name).is_none() {
            told.push(format!("{name}: removed; before: {}", limits(old)));
        }
    }
    if told.is_empty() && before != after {
        let names: Vec<String> = after.iter().map(Quota::name).collect();
        told.push(format!("in another order: {}", names.join(", ")));
    }
    told
}

fn limits(quota: &Quota) -> String {
    let number = |number: Option<u32>, words: &str| number.map(|n| format!("{n} {words}"));
    let limits = [
        number(quota.per_minute, "a minute"),
        number(quota.burst, "at once after a rest"),
        number(quota.at_once, "under way"),
    ];
    limits.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(source: &str, per_minute: Option<u32>, at_once: Option<u32>) -> Quota {
        Quota {
            source: source.into(),
            service: "qubes.Gpg".into(),
            disposables: false,
            per_minute,
            burst: None,
            at_once,
        }
    }

    #[test]
    fn each_change_is_one_line_and_no_change_is_none() {
        let before = [quota("work", Some(5), None), quota("vault", None, Some(1))];
        assert!(changes(&before, &before).is_empty());
        let after = [
            quota("work", Some(9), Some(2)),
            quota("mail", None, Some(3)),
        ];
        assert_eq!(
            changes(&before, &after),
            [
                "work qubes.Gpg: 9 a minute, 2 under way; before: 5 a minute",
                "mail qubes.Gpg: 3 under way",
                "vault qubes.Gpg: removed; before: 1 under way",
            ]
        );
        let [first, second] = before.clone();
        assert_eq!(
            changes(&before, &[second, first]),
            ["in another order: vault qubes.Gpg, work qubes.Gpg"]
        );
    }
}
