// SPDX-License-Identifier: GPL-3.0-or-later
//! One layout for policy files: the fields of neighbouring rules stand below each other.
//!
//! Comments stay as they are, and so do lines that are no rule. Lines between two empty ones
//! are laid out together; more than one empty line in a row becomes one. Laying out twice
//! changes nothing.

/// The fields of a rule before its options.
const FIELDS: usize = 5;

enum Line<'a> {
    Empty,
    /// A comment or a directive, as it shall be.
    Whole(String),
    /// A rule's words.
    Rule(Vec<&'a str>),
}

/// The text of a policy file, laid out.
pub fn format_policy(text: &str) -> String {
    let mut formatted = String::new();
    let mut block: Vec<Line<'_>> = Vec::new();
    for line in text.lines().map(read).chain([Line::Empty]) {
        if !matches!(line, Line::Empty) {
            block.push(line);
        } else if !block.is_empty() {
            if !formatted.is_empty() {
                formatted.push('\n');
            }
            write_block(&block, &mut formatted);
            block.clear();
        }
    }
    formatted
}

fn read(line: &str) -> Line<'_> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        [] => Line::Empty,
        [first, ..] if first.starts_with('#') => Line::Whole(line.trim().to_owned()),
        [first, ..] if first.starts_with('!') => Line::Whole(words.join(" ")),
        words if words.len() < FIELDS => Line::Whole(line.trim().to_owned()),
        _ => Line::Rule(words),
    }
}

fn write_block(block: &[Line<'_>], formatted: &mut String) {
    let mut widths = [0; FIELDS];
    for line in block {
        if let Line::Rule(words) = line {
            for (width, word) in widths.iter_mut().zip(words) {
                *width = (*width).max(word.chars().count());
            }
        }
    }
    for line in block {
        match line {
            Line::Empty => {}
            Line::Whole(text) => formatted.push_str(text),
            Line::Rule(words) => {
                let mut end = 0;
                for (n, word) in words.iter().enumerate() {
                    formatted.extend(std::iter::repeat_n(' ', end));
                    formatted.push_str(word);
                    // Options follow their action at once.
                    end = match widths.get(n) {
                        Some(width) if n < FIELDS - 1 => 2 + width - word.chars().count(),
                        _ => 1,
                    };
                }
            }
        }
        formatted.push('\n');
    }
}
