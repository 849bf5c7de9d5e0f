// SPDX-License-Identifier: GPL-3.0-or-later
//! The picture in the language of Graphviz.

use std::fmt::Write as _;

use super::{Graph, Node};

impl Graph {
    /// A `digraph` for `dot`: solid lines are allowed, dashed ones asked for.
    pub fn to_dot(&self) -> String {
        let mut text = String::from(
            "digraph policy {\n  rankdir=LR;\n  node [fontname=\"sans-serif\", fontsize=11];\n  \
             edge [color=\"#8a8f98\"];\n",
        );
        let node = |text: &mut String, id: String, node: &Node| {
            let (name, color) = (quoted(&node.name), &node.color);
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "  {id} [label={name}, shape=box, style=rounded, color=\"{color}\", penwidth=2];"
            );
        };
        for (n, source) in self.sources.iter().enumerate() {
            node(&mut text, format!("s{n}"), source);
        }
        for (n, target) in self.targets.iter().enumerate() {
            node(&mut text, format!("t{n}"), target);
        }
        for (n, edge) in self.edges.iter().enumerate() {
            let mut label = edge.services.join("\n");
            if let Some(asked) = &edge.asked {
                label.push_str(&format!("\n(asked for {asked})"));
            }
            let (label, style) = match edge.verdict {
                "ask" => (format!("{label}\nask"), "dashed"),
                _ => (label, "solid"),
            };
            let _ = writeln!(text, "  e{n} [label={}, shape=plaintext];", quoted(&label));
            for source in &edge.sources {
                let _ = writeln!(text, "  s{source} -> e{n} [style={style}, arrowhead=none];");
            }
            for target in &edge.targets {
                let _ = writeln!(text, "  e{n} -> t{target} [style={style}];");
            }
        }
        text.push_str("}\n");
        text
    }
}

fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}
