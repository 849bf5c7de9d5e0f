// SPDX-License-Identifier: GPL-3.0-or-later
//! Guest texts made harmless: titles and classes.

use bulkhead_types::DomainName;

/// Keeps printable ASCII and puts `_` in place of every other byte.
pub fn printable(bytes: &[u8]) -> String {
    let keep = |byte: &u8| {
        if (0x20..=0x7e).contains(byte) {
            char::from(*byte)
        } else {
            '_'
        }
    };
    bytes.iter().map(keep).collect()
}

/// The title shown for a window: the domain's name in brackets, then what the guest says.
///
/// ```
/// # let work = "work".parse().unwrap();
/// assert_eq!(gui_core::shown_title(&work, b"notes\x1b]0;x"), "[work] notes_]0;x");
/// ```
pub fn shown_title(domain: &DomainName, title: &[u8]) -> String {
    // Agents that cut a title end it with an ellipsis, which is not ASCII.
    let (title, dots) = match title.strip_suffix("\u{2026}".as_bytes()) {
        Some(start) => (start, "..."),
        None => (title, ""),
    };
    format!("[{domain}] {}{dots}", printable(title))
}

/// A half of the window class: behind the domain's name, so that no guest can pass for a
/// program of dom0.
pub(crate) fn shown_class(domain: &DomainName, class: &[u8]) -> String {
    format!("{domain}:{}", printable(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_other_bytes_never_reach_a_title() {
        let work = "work".parse().unwrap();
        let title = |bytes: &[u8]| shown_title(&work, bytes);
        assert_eq!(title(b"\x1b[31mred\n\r\t"), "[work] _[31mred___");
        assert_eq!(title("naïve".as_bytes()), "[work] na__ve");
        assert_eq!(title("long\u{2026}".as_bytes()), "[work] long...");
        assert_eq!(title(b"[dom0] x"), "[work] [dom0] x");
        assert_eq!(title(b""), "[work] ");
        assert_eq!(shown_class(&work, b"a:b\0"), "work:a:b_");
    }
}
