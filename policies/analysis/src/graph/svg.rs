// SPDX-License-Identifier: GPL-3.0-or-later
//! The picture as SVG.

mod cards;
mod layout;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Edge, Graph, Node};
use cards::{Card, cards};
use layout::{Order, average, beside, height_of, spread};

/// The width of a card or flow, and the gap in which lines run, in pixels.
const CARD: f64 = 200.0;
const FLOW: f64 = 260.0;
const GAP: f64 = 170.0;
/// The height of a line of text, the room above and below a card's lines, and between two cards.
const LINE: f64 = 17.0;
const PADDING: f64 = 13.0;
const SPACE: f64 = 14.0;
const MARGIN: f64 = 40.0;
/// So many services of a flow are named, and so many letters of a name are in a line.
const NAMED_MAX: usize = 5;
const NAME_MAX: usize = 34;

const STYLE: &str = "text{font:13px system-ui,'DejaVu Sans',sans-serif;fill:#20232a}\
.head{font-size:12px;fill:#6a707a;letter-spacing:.08em}\
.small{font-size:11px;fill:#6a707a}\
.card{fill:#fff;stroke:#d5d9e0}\
.line{fill:none;stroke-width:2;opacity:.62}\
.ask{stroke-dasharray:6 5}";

/// One side of the picture.
struct Side<'g> {
    nodes: &'g [Node],
    cards: Vec<Card>,
    /// Where each card begins.
    at: Vec<f64>,
}

impl<'g> Side<'g> {
    fn new(nodes: &'g [Node], edges: &'g [Edge], side: fn(&Edge) -> &Vec<usize>) -> Self {
        Self {
            cards: cards(nodes.len(), edges, side),
            at: Vec::new(),
            nodes,
        }
    }

    fn height(&self, card: usize) -> f64 {
        self.cards[card].lines(self.nodes).len() as f64 * LINE + PADDING
    }

    /// Puts each card beside its flows, whose middles are given.
    fn place(&mut self, order: &[usize], flows: &[f64], room: [f64; 2]) {
        let middle = |card: usize| average(self.cards[card].flows.iter().map(|flow| flows[*flow]));
        self.at = beside(order, |card| self.height(card), middle, SPACE, room);
    }

    /// The cards of a flow: where their lines end, and their colour.
    fn of(&self, flow: usize) -> impl Iterator<Item = (f64, &str)> {
        let cards = self.cards.iter().enumerate();
        let cards = cards.filter(move |(_, card)| card.flows.contains(&flow));
        cards.map(|(number, card)| {
            let middle = self.at[number] + self.height(number) / 2.0;
            (middle, card.color(self.nodes))
        })
    }
}

impl Graph {
    /// A whole SVG document.
    pub fn to_svg(&self) -> String {
        let mut sources = Side::new(&self.sources, &self.edges, |edge| &edge.sources);
        let mut targets = Side::new(&self.targets, &self.edges, |edge| &edge.targets);
        let order = Order::untangled(&sources.cards, self.edges.len(), &targets.cards);
        let tall = |n: usize| flow_height(&self.edges[n]);
        let inner = [
            height_of(&order.sources, |card| sources.height(card), SPACE),
            height_of(&order.flows, tall, SPACE),
            height_of(&order.targets, |card| targets.height(card), SPACE),
        ];
        let inner = inner.into_iter().fold(60.0, f64::max);
        let (width, height) = (
            2.0 * MARGIN + 2.0 * CARD + FLOW + 2.0 * GAP,
            inner + 2.0 * MARGIN + 60.0,
        );
        let room = [MARGIN + 36.0, inner];
        let left = MARGIN;
        let middle = left + CARD + GAP;
        let right = middle + FLOW + GAP;
        let flows = spread(&order.flows, tall, SPACE, room);
        let middles: Vec<f64> = (0..flows.len()).map(|n| flows[n] + tall(n) / 2.0).collect();
        sources.place(&order.sources, &middles, room);
        targets.place(&order.targets, &middles, room);

        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>Who may call what</title>\n\
             <style>{STYLE}</style>\n{}<rect width=\"100%\" height=\"100%\" fill=\"#f6f7f9\"/>\n",
            self.tips()
        );
        for (x, head) in [(left, "WHO CALLS"), (middle, "WHAT"), (right, "WHOM")] {
            // Writing to a string cannot fail.
            let _ = writeln!(
                svg,
                "<text class=\"head\" x=\"{x}\" y=\"{}\">{head}</text>",
                MARGIN + 10.0
            );
        }
        for (n, edge) in self.edges.iter().enumerate() {
            let y = middles[n];
            for (from, color) in sources.of(n) {
                svg.push_str(&line((left + CARD, from), (middle, y), color, edge, false));
            }
            let mut callers = sources.of(n).map(|(_, color)| color);
            let only = callers.next().filter(|_| callers.next().is_none());
            for (to, color) in targets.of(n) {
                let color = only.unwrap_or(color);
                svg.push_str(&line(
                    (middle + FLOW, y),
                    (right - 3.0, to),
                    color,
                    edge,
                    true,
                ));
            }
        }
        for (n, edge) in self.edges.iter().enumerate() {
            svg.push_str(&flow(edge, middle, flows[n]));
        }
        for (side, x) in [(&sources, left), (&targets, right)] {
            for (card, y) in side.cards.iter().zip(&side.at) {
                svg.push_str(&drawn(card, side.nodes, x, *y));
            }
        }
        svg.push_str(&legend(left, height - MARGIN / 2.0));
        svg.push_str("</svg>\n");
        svg
    }

    /// The tips of lines, one for each colour.
    fn tips(&self) -> String {
        let nodes = self.sources.iter().chain(&self.targets);
        let colors = nodes.map(|node| node.color.as_str());
        let colors: BTreeSet<&str> = colors.chain([super::GREY]).collect();
        let tip = |color: &str| {
            format!(
                "<marker id=\"{}\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"10\" \
                 markerHeight=\"10\" markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" \
                 fill=\"{color}\"/></marker>\n",
                tip_of(color)
            )
        };
        format!(
            "<defs>\n{}</defs>\n",
            colors.into_iter().map(tip).collect::<String>()
        )
    }
}

fn tip_of(color: &str) -> String {
    format!("tip-{}", color.trim_start_matches('#'))
}

fn flow_height(edge: &Edge) -> f64 {
    let more = usize::from(edge.services.len() > NAMED_MAX);
    let lines = edge.services.len().min(NAMED_MAX) + more + usize::from(edge.asked.is_some());
    lines as f64 * LINE + 14.0
}

fn line(from: (f64, f64), to: (f64, f64), color: &str, edge: &Edge, tip: bool) -> String {
    let bend = (to.0 - from.0) * 0.5;
    let class = if edge.verdict == "ask" {
        "line ask"
    } else {
        "line"
    };
    let tip = match tip {
        true => format!(" marker-end=\"url(#{})\"", tip_of(color)),
        false => String::new(),
    };
    format!(
        "<path class=\"{class}\" stroke=\"{}\" d=\"M{:.1} {:.1}C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}\"{tip}/>\n",
        color,
        from.0,
        from.1,
        from.0 + bend,
        from.1,
        to.0 - bend,
        to.1,
        to.0,
        to.1
    )
}

fn drawn(card: &Card, nodes: &[Node], x: f64, y: f64) -> String {
    let lines = card.lines(nodes);
    let height = lines.len() as f64 * LINE + PADDING;
    let names = escaped(&card.names(nodes));
    let mut svg = format!(
        "<g><title>{names}</title><rect class=\"card\" x=\"{x}\" y=\"{y:.1}\" width=\"{CARD}\" \
         height=\"{height}\" rx=\"8\"/>"
    );
    let mut base = y + PADDING / 2.0 - 4.5;
    for line in lines {
        base += LINE;
        if let Some(color) = line.color {
            let _ = write!(
                svg,
                "<rect x=\"{}\" y=\"{:.1}\" width=\"11\" height=\"11\" rx=\"3\" fill=\"{color}\"/>",
                x + 12.0,
                base - 10.0
            );
        }
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{base:.1}\">{}</text>",
            x + 32.0,
            escaped(&line.text)
        );
    }
    svg.push_str("</g>\n");
    svg
}

fn flow(edge: &Edge, x: f64, y: f64) -> String {
    let height = flow_height(edge);
    let (fill, stroke, class) = match edge.verdict {
        "ask" => ("#fff8e8", "#e0a63a", " class=\"ask\""),
        _ => ("#e9f6ec", "#3f9a58", ""),
    };
    let all = escaped(&format!("{}: {}", edge.verdict, edge.services.join(", ")));
    let mut svg = format!(
        "<g><title>{all}</title><rect x=\"{x}\" y=\"{y:.1}\" width=\"{FLOW}\" height=\"{height}\" rx=\"10\" \
         fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"1.5\"{class}/>"
    );
    let mut at = y + 7.0;
    let mut text = |class: &str, words: &str| {
        at += LINE;
        let words = escaped(&cut(words, NAME_MAX));
        let _ = write!(
            svg,
            "<text{class} x=\"{}\" y=\"{:.1}\">{words}</text>",
            x + 14.0,
            at - 4.0
        );
    };
    for service in edge.services.iter().take(NAMED_MAX) {
        text("", service);
    }
    if let Some(more) = edge
        .services
        .len()
        .checked_sub(NAMED_MAX)
        .filter(|n| *n > 0)
    {
        text(" class=\"small\"", &format!("and {more} more"));
    }
    if let Some(asked) = &edge.asked {
        text(" class=\"small\"", &format!("asked for {asked}"));
    }
    svg.push_str("</g>\n");
    svg
}

fn legend(x: f64, y: f64) -> String {
    let line = |x: f64, class: &str, stroke: &str| {
        format!(
            "<path class=\"{class}\" stroke=\"{stroke}\" d=\"M{x} {}h34\"/>",
            y - 4.0
        )
    };
    format!(
        "{}<text class=\"small\" x=\"{}\" y=\"{y}\">allowed</text>{}<text class=\"small\" x=\"{}\" y=\"{y}\">the user is asked</text>\
         <text class=\"small\" x=\"{}\" y=\"{y}\">whatever has no line is refused</text>\n",
        line(x, "line", "#3f9a58"),
        x + 42.0,
        line(x + 110.0, "line ask", "#e0a63a"),
        x + 152.0,
        x + 280.0
    )
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
