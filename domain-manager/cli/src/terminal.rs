// SPDX-License-Identifier: GPL-3.0-or-later
//! How much room there is for an answer.

/// Columns where nothing says how many there are.
const USUAL: usize = 100;

/// The columns of the terminal: as `COLUMNS` says, or as wide as it is.
pub fn width() -> usize {
    let said = std::env::var("COLUMNS").ok();
    let said = said.and_then(|columns| columns.parse().ok());
    let own = || {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
        Some(usize::from(size.ws_col))
    };
    said.or_else(own)
        .filter(|columns| *columns > 0)
        .unwrap_or(USUAL)
}
