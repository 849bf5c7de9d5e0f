// SPDX-License-Identifier: GPL-3.0-or-later
//! The picture as SVG, laid out here: three columns, each in the order that crosses least.

use std::fmt::Write as _;

use super::{Edge, Graph, Node};

/// The width of a node or flow, and the gap in which lines run, in pixels.
const NODE: f64 = 190.0;
const FLOW: f64 = 260.0;
const GAP: f64 = 170.0;
/// The height of a line of text, and of a node.
const LINE: f64 = 17.0;
const HIGH: f64 = 30.0;
const SPACE: f64 = 14.0;
const MARGIN: f64 = 40.0;
/// So many services of a flow are named.
const NAMED_MAX: usize = 5;
/// A name is cut to so many characters.
const NAME_MAX: usize = 26;

const STYLE: &str = "text{font:13px system-ui,'DejaVu Sans',sans-serif;fill:#20232a}\
.head{font-size:12px;fill:#6a707a;letter-spacing:.08em}\
.small{font-size:11px;fill:#6a707a}\
.card{fill:#fff;stroke:#d5d9e0}\
.line{fill:none;stroke-width:2;opacity:.62}\
.ask{stroke-dasharray:6 5}";

impl Graph {
    /// A whole SVG document.
    pub fn to_svg(&self) -> String {
        let flows = order(self.edges.len(), |n| &self.edges[n].sources);
        let place = |n: &usize| flows.iter().position(|at| at == n).unwrap_or_default();
        let by_flow = |side: &dyn Fn(&Edge) -> &Vec<usize>, count: usize| {
            order_by(count, |node| {
                let edges = (0..self.edges.len()).filter(|n| side(&self.edges[*n]).contains(&node));
                average(edges.map(|n| place(&n)))
            })
        };
        let sources = by_flow(&|edge| &edge.sources, self.sources.len());
        let targets = by_flow(&|edge| &edge.targets, self.targets.len());
        let tall = |n: usize| flow_height(&self.edges[n]);
        let node = |_: usize| HIGH;
        let inner = [
            column_height(&sources, node),
            column_height(&flows, tall),
            column_height(&targets, node),
        ];
        let inner = inner.into_iter().fold(60.0, f64::max);
        let (width, height) = (
            2.0 * MARGIN + 2.0 * NODE + FLOW + 2.0 * GAP,
            inner + 2.0 * MARGIN + 60.0,
        );
        let top = MARGIN + 36.0;
        let left = MARGIN;
        let middle = left + NODE + GAP;
        let right = middle + FLOW + GAP;
        let source_at = spread(&sources, node, top, inner);
        let flow_at = spread(&flows, tall, top, inner);
        let target_at = spread(&targets, node, top, inner);

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
            let y = flow_at[n] + tall(n) / 2.0;
            for source in &edge.sources {
                let from = (left + NODE, source_at[*source] + HIGH / 2.0);
                svg.push_str(&line(
                    from,
                    (middle, y),
                    &self.sources[*source],
                    edge,
                    false,
                ));
            }
            for target in &edge.targets {
                let to = (right - 3.0, target_at[*target] + HIGH / 2.0);
                let by = match edge.sources.as_slice() {
                    [only] => &self.sources[*only],
                    _ => &self.targets[*target],
                };
                svg.push_str(&line((middle + FLOW, y), to, by, edge, true));
            }
        }
        for (n, edge) in self.edges.iter().enumerate() {
            svg.push_str(&flow(edge, middle, flow_at[n]));
        }
        for (n, source) in self.sources.iter().enumerate() {
            svg.push_str(&card(source, left, source_at[n]));
        }
        for (n, target) in self.targets.iter().enumerate() {
            svg.push_str(&card(target, right, target_at[n]));
        }
        svg.push_str(&legend(left, height - MARGIN / 2.0));
        svg.push_str("</svg>\n");
        svg
    }

    /// The tips of lines, one for each colour.
    fn tips(&self) -> String {
        let nodes = self.sources.iter().chain(&self.targets);
        let colors: std::collections::BTreeSet<&str> = nodes.map(|n| n.color.as_str()).collect();
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

/// The numbers below `count`, in the order of the middle of what each is joined to.
fn order<'e>(count: usize, joined: impl Fn(usize) -> &'e Vec<usize>) -> Vec<usize> {
    order_by(count, |n| average(joined(n).iter().copied()))
}

fn order_by(count: usize, middle: impl Fn(usize) -> f64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| middle(*a).total_cmp(&middle(*b)));
    order
}

fn average(places: impl Iterator<Item = usize>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for place in places {
        sum += place as f64;
        count += 1.0;
    }
    if count > 0.0 { sum / count } else { 0.0 }
}

fn flow_height(edge: &Edge) -> f64 {
    let more = usize::from(edge.services.len() > NAMED_MAX);
    let lines = edge.services.len().min(NAMED_MAX) + more + usize::from(edge.asked.is_some());
    lines as f64 * LINE + 14.0
}

fn column_height(order: &[usize], height: impl Fn(usize) -> f64) -> f64 {
    order.iter().map(|n| height(*n) + SPACE).sum()
}

/// Where each stands from above, by number: in their order, over the whole height.
fn spread(order: &[usize], height: impl Fn(usize) -> f64, top: f64, inner: f64) -> Vec<f64> {
    let free = inner - column_height(order, &height);
    let gap = free / (order.len() as f64 + 1.0);
    let mut places = vec![0.0; order.len()];
    let mut y = top;
    for n in order {
        y += gap;
        places[*n] = y;
        y += height(*n) + SPACE;
    }
    places
}

fn line(from: (f64, f64), to: (f64, f64), by: &Node, edge: &Edge, tip: bool) -> String {
    let bend = (to.0 - from.0) * 0.5;
    let class = if edge.verdict == "ask" {
        "line ask"
    } else {
        "line"
    };
    let tip = match tip {
        true => format!(" marker-end=\"url(#{})\"", tip_of(&by.color)),
        false => String::new(),
    };
    format!(
        "<path class=\"{class}\" stroke=\"{}\" d=\"M{:.1} {:.1}C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}\"{tip}/>\n",
        by.color,
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

fn card(node: &Node, x: f64, y: f64) -> String {
    let (full, short) = (escaped(&node.name), escaped(&cut(&node.name, NAME_MAX - 6)));
    format!(
        "<g><title>{full}</title><rect class=\"card\" x=\"{x}\" y=\"{y:.1}\" width=\"{NODE}\" height=\"{HIGH}\" rx=\"8\"/>\
         <rect x=\"{x}\" y=\"{y:.1}\" width=\"7\" height=\"{HIGH}\" rx=\"3.5\" fill=\"{}\"/>\
         <text x=\"{}\" y=\"{:.1}\">{short}</text></g>\n",
        node.color,
        x + 18.0,
        y + HIGH / 2.0 + 4.5
    )
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
        let words = escaped(&cut(words, NAME_MAX + 8));
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
