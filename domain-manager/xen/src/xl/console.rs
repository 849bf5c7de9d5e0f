// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest wrote to its console, as xenconsoled keeps it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use bulkhead_types::DomainName;

/// How far back to look for lines.
const LOOK_BACK: u64 = 64 * 1024;

/// The last `lines` lines of a guest's console, fit to be shown to people.
///
/// `folder` is `/var/log/xen/console` with a xenconsoled started with `--log=all` or `guest`.
/// The guest writes these bytes, so all but printable ASCII becomes `_`.
pub fn console_tail(folder: &Path, guest: &DomainName, lines: usize) -> io::Result<String> {
    let mut log = File::open(folder.join(format!("guest-{guest}.log")))?;
    let length = log.metadata()?.len();
    log.seek(SeekFrom::Start(length.saturating_sub(LOOK_BACK)))?;
    let mut bytes = Vec::new();
    log.take(LOOK_BACK).read_to_end(&mut bytes)?;
    let shown: String = bytes
        .iter()
        .filter(|byte| **byte != b'\r')
        .map(|byte| {
            if matches!(byte, b' '..=b'~' | b'\n') {
                char::from(*byte)
            } else {
                '_'
            }
        })
        .collect();
    let all: Vec<_> = shown.lines().collect();
    Ok(all[all.len().saturating_sub(lines)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_short_and_cannot_move_the_cursor() {
        let folder = tempfile::tempdir().unwrap();
        let guest = DomainName::parse("work").unwrap();
        assert!(console_tail(folder.path(), &guest, 2).is_err());
        let log = format!(
            "{}\r\nold\nKernel panic\x1b[2J\r\nlast \u{e4}\n",
            "x".repeat(70_000)
        );
        std::fs::write(folder.path().join("guest-work.log"), log).unwrap();
        let tail = console_tail(folder.path(), &guest, 2).unwrap();
        assert_eq!(tail, "Kernel panic_[2J\nlast __");
    }
}
