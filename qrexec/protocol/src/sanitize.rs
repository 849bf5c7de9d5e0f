// SPDX-License-Identifier: MIT OR Apache-2.0
//! What remains of bytes that a domain chose.

use bulkhead_types::Service;

/// How many bytes of a service with its argument are shown in a log or a message.
pub const SERVICE_SHOWN: usize = 120;

/// A service text: what is outside `A-Z a-z 0-9 _ - . +` becomes `_`.
pub fn service_text(bytes: &[u8]) -> String {
    replace(bytes, |b| b.is_ascii_alphanumeric() || b"_-.+".contains(&b))
}

/// A target or source text: what is outside `A-Z a-z 0-9 _ - . @ :` becomes `_`. It ends before
/// the first NUL.
pub fn target_text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    replace(&bytes[..end], |b| {
        b.is_ascii_alphanumeric() || b"_-.@:".contains(&b)
    })
}

fn replace(bytes: &[u8], keep: impl Fn(u8) -> bool) -> String {
    bytes
        .iter()
        .map(|b| if keep(*b) { char::from(*b) } else { '_' })
        .collect()
}

/// Makes a peer's output harmless for a terminal, in place: every byte other than printable
/// ASCII and TAB, LF, CR, BS and BEL becomes `_`.
pub fn terminal_output(bytes: &mut [u8]) {
    for byte in bytes {
        if !matches!(*byte, b' '..=b'~' | b'\t' | b'\n' | b'\r' | 0x07 | 0x08) {
            *byte = b'_';
        }
    }
}

/// A service with its argument for a log line: whoever chose a long one does not fill the log.
pub fn service_for_log(service: &Service) -> String {
    for_log(service.to_string().as_bytes(), SERVICE_SHOWN)
}

/// A peer's bytes for a log line or a message: escaped, and cut after `max` bytes.
pub fn for_log(bytes: &[u8], max: usize) -> String {
    let cut = &bytes[..bytes.len().min(max)];
    let dots = if cut.len() < bytes.len() { "…" } else { "" };
    format!("{}{dots}", cut.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_shell_or_a_terminal_would_act_on_remains() {
        let every: Vec<u8> = (0..=255).collect();
        let service = service_text(&every);
        assert_eq!(service.len(), 256);
        assert!(
            service
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-.+".contains(&b))
        );
        assert_eq!(target_text(b"@dispvm:a$b\0rest"), "@dispvm:a_b");
        let mut output = every.clone();
        terminal_output(&mut output);
        assert!(!output.contains(&0x1b));
        assert_eq!(output.iter().filter(|b| b.is_ascii_control()).count(), 5);
        assert_eq!(for_log(b"a\x1b[31m and more", 5), "a\\x1b[31…");
        let long = Service::parse(&format!("a+{}", "b".repeat(60_000))).unwrap();
        assert_eq!(service_for_log(&long), format!("a+{}…", "b".repeat(118)));
    }
}
