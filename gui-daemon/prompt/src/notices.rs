// SPDX-License-Identifier: GPL-3.0-or-later
//! What became of calls, told for a moment: a few at a time, and not one after the other without end.

use std::collections::VecDeque;
use std::time::Duration;

use policy_agent_protocol::{Notify, Resolution};

use crate::text::{self, shown};

/// How long a notice is in view.
pub const LIFETIME: Duration = Duration::from_secs(8);
/// How many are in view at most; what comes meanwhile is counted.
const IN_VIEW: usize = 3;

/// The notices in view.
#[derive(Debug, Default)]
pub struct Notices {
    /// What everybody has to know, above the others.
    announced: Option<(Duration, &'static str)>,
    in_view: VecDeque<(Duration, String)>,
    left_out: usize,
}

impl Notices {
    /// Takes a notice.
    pub fn told(&mut self, notice: &Notify, now: Duration) {
        self.tick(now);
        let words = words(notice);
        let known = self.in_view.iter().any(|(_, text)| *text == words);
        match known || self.in_view.len() >= IN_VIEW {
            true => self.left_out += 1,
            false => self.in_view.push_back((now + LIFETIME, words)),
        }
    }

    /// Takes something about all calls, in the place of what was said of them before.
    pub fn announce(&mut self, words: &'static str, now: Duration) {
        self.tick(now);
        self.announced = Some((now + LIFETIME, words));
    }

    /// Takes away what has been in view long enough.
    pub fn tick(&mut self, now: Duration) {
        self.in_view.retain(|(end, _)| now < *end);
        self.announced = self.announced.filter(|(end, _)| now < *end);
        if self.in_view.is_empty() {
            self.left_out = 0;
        }
    }

    /// What to show; nothing when there is nothing.
    pub fn lines(&self) -> Vec<String> {
        let announced = self.announced.iter().map(|(_, text)| (*text).to_owned());
        let others = self.in_view.iter().map(|(_, text)| text.clone());
        let mut lines: Vec<_> = announced.chain(others).collect();
        if self.left_out > 0 {
            lines.push(format!("and {} more", self.left_out));
        }
        lines
    }
}

fn words(notice: &Notify) -> String {
    let said = match notice.resolution {
        Resolution::Allow => "was allowed to call",
        Resolution::Deny => "was refused",
        Resolution::Fail => "could not call",
    };
    let source = shown(notice.source.as_str(), text::OTHER);
    let service = shown(&notice.service, text::SERVICE);
    match notice.target.as_str() {
        "@default" | "" => format!("{source} {said} {service}"),
        target => format!(
            "{source} {said} {service} to {}",
            shown(target, text::OTHER)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(target: &str) -> Notify {
        Notify {
            resolution: Resolution::Deny,
            service: "qubes.Filecopy".to_owned(),
            argument: "+".to_owned(),
            source: "work".parse().unwrap(),
            target: target.to_owned(),
        }
    }

    #[test]
    fn a_flood_shows_three_lines_and_a_number() {
        let mut notices = Notices::default();
        let now = Duration::from_secs(5);
        for number in 0..200 {
            notices.told(&notice(&format!("t{number}")), now);
        }
        insta::assert_snapshot!(notices.lines().join("\n"), @r"
        work was refused qubes.Filecopy to t0
        work was refused qubes.Filecopy to t1
        work was refused qubes.Filecopy to t2
        and 197 more
        ");
        notices.tick(now + LIFETIME);
        assert!(notices.lines().is_empty());
        notices.told(&notice("@default"), now + LIFETIME);
        assert_eq!(notices.lines(), ["work was refused qubes.Filecopy"]);
    }

    #[test]
    fn what_concerns_all_calls_stands_above_any_flood() {
        let mut notices = Notices::default();
        let now = Duration::from_secs(5);
        for number in 0..200 {
            notices.told(&notice(&format!("t{number}")), now);
        }
        notices.announce("gone", now);
        notices.announce("back", now);
        assert_eq!(notices.lines().len(), 5);
        assert_eq!(notices.lines()[0], "back");
        notices.tick(now + LIFETIME);
        assert!(notices.lines().is_empty());
    }
}
