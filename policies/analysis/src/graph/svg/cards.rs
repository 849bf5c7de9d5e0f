// SPDX-License-Identifier: GPL-3.0-or-later
//! What is drawn as one: callers, or targets, that have the very same flows stand on one card.

use super::super::{Edge, GREY, Node};

/// So many names stand on a card; a name has so many letters in a line, and so many lines.
const NAMES_MAX: usize = 10;
const LINE_MAX: usize = 21;
const LINES_MAX: usize = 3;

/// Nodes that are drawn as one, and the places of their flows.
pub(super) struct Card {
    pub nodes: Vec<usize>,
    pub flows: Vec<usize>,
}

/// The cards of one side.
pub(super) fn cards<'e>(
    count: usize,
    edges: &'e [Edge],
    side: impl Fn(&'e Edge) -> &'e Vec<usize>,
) -> Vec<Card> {
    let mut cards: Vec<Card> = Vec::new();
    for node in 0..count {
        let flows = edges.iter().enumerate();
        let flows = flows.filter(|(_, edge)| side(edge).contains(&node));
        let flows: Vec<usize> = flows.map(|(place, _)| place).collect();
        match cards.iter_mut().find(|card| card.flows == flows) {
            Some(card) => card.nodes.push(node),
            None => cards.push(Card {
                nodes: vec![node],
                flows,
            }),
        }
    }
    cards
}

/// A line on a card; the first of a name comes with its colour.
pub(super) struct Line<'n> {
    pub text: String,
    pub color: Option<&'n str>,
}

impl Card {
    /// What is written on it.
    pub fn lines<'n>(&self, nodes: &'n [Node]) -> Vec<Line<'n>> {
        let mut lines = Vec::new();
        // One more name takes no more room than a line that says so.
        let all = self.nodes.len() <= NAMES_MAX + 1;
        let shown = if all { self.nodes.len() } else { NAMES_MAX };
        for node in self.nodes.iter().take(shown).map(|node| &nodes[*node]) {
            for (place, text) in folded(&node.name).into_iter().enumerate() {
                let color = (place == 0).then_some(&*node.color);
                lines.push(Line { text, color });
            }
        }
        if !all {
            lines.push(Line {
                text: format!("and {} more", self.nodes.len() - shown),
                color: None,
            });
        }
        lines
    }

    /// The colour that all of them have, or that of no one domain.
    pub fn color<'n>(&self, nodes: &'n [Node]) -> &'n str {
        let mut colors = self.nodes.iter().map(|node| &*nodes[*node].color);
        let first = colors.next().unwrap_or(GREY);
        if colors.all(|color| color == first) {
            first
        } else {
            GREY
        }
    }

    /// All the names, for whoever points at it.
    pub fn names(&self, nodes: &[Node]) -> String {
        let names = self.nodes.iter().map(|node| nodes[*node].name.as_str());
        names.collect::<Vec<_>>().join(", ")
    }
}

/// A name in lines, cut when there are too many.
fn folded(name: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in name.split(' ') {
        let word = super::cut(word, LINE_MAX);
        if line.is_empty() {
            line = word;
        } else if line.chars().count() + 1 + word.chars().count() <= LINE_MAX {
            line.extend([" ", &word]);
        } else if lines.len() + 1 == LINES_MAX {
            line = format!("{} …", line.trim_end_matches(','));
            break;
        } else {
            lines.push(std::mem::replace(&mut line, word));
        }
    }
    lines.push(line);
    lines
}
