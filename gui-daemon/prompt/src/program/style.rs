// SPDX-License-Identifier: GPL-3.0-or-later
//! How it looks: the colours of the labels, and a sheet that no theme changes.

use bulkhead_types::Label;
use gtk4::{CssProvider, STYLE_PROVIDER_PRIORITY_USER, gdk};

const SHEET: &str = include_str!("style.css");

/// The class of a label's colour; a domain without one gets a colour that no label has.
pub fn class(label: Option<Label>) -> String {
    match label {
        Some(label) => format!("label-{label}"),
        None => "label-none".to_owned(),
    }
}

/// Makes the sheet count for every window.
pub fn install() {
    let mut sheet = SHEET.to_owned();
    for label in Label::ALL {
        let rgb = label.color().rgb();
        sheet.push_str(&colours(&class(Some(label)), rgb));
    }
    sheet.push_str(&colours(&class(None), 0x9a_99_96));
    let provider = CssProvider::new();
    provider.load_from_data(&sheet);
    if let Some(display) = gdk::Display::default() {
        gtk4::style_context_add_provider_for_display(
            &display,
            &provider,
            STYLE_PROVIDER_PRIORITY_USER,
        );
    }
}

fn colours(class: &str, rgb: u32) -> String {
    let [_, red, green, blue] = rgb.to_be_bytes().map(u32::from);
    // As bright as the eye takes it to be.
    let bright = 299 * red + 587 * green + 114 * blue > 140_000;
    let ink = if bright { "#1c1c1c" } else { "#ffffff" };
    format!(
        ".band.{class}, .swatch.{class} {{ background-color: #{rgb:06x}; color: {ink}; }}\n\
         .frame-of.{class} {{ border-color: #{rgb:06x}; }}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_on_a_colour_can_be_read() {
        assert!(colours("a", Label::Yellow.color().rgb()).contains("color: #1c1c1c"));
        assert!(colours("a", Label::Blue.color().rgb()).contains("color: #ffffff"));
    }
}
