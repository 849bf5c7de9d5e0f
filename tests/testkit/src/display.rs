// SPDX-License-Identifier: GPL-3.0-or-later
//! Dom0's desktop: an X server without a screen, and a window manager.

/// The desktop of a fixture. It ends with the fixture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Display {
    /// What `DISPLAY` has to be.
    pub name: String,
    /// Width and height in pixels.
    pub size: (u16, u16),
}

impl Display {
    /// Large enough for four windows side by side.
    pub(crate) const SIZE: (u16, u16) = (1600, 1200);

    /// The X server's command line. It writes the number of its display to its output.
    pub(crate) fn server() -> Vec<String> {
        let (width, height) = Self::SIZE;
        let screen = format!("{width}x{height}x24");
        let words = [
            "Xvfb",
            "-displayfd",
            "1",
            "-screen",
            "0",
            &screen,
            "-nolisten",
            "tcp",
            "-noreset",
        ];
        words.map(str::to_owned).to_vec()
    }

    /// The display whose number stands in the server's output.
    pub(crate) fn from_output(text: &str) -> Option<Self> {
        let number = text
            .lines()
            .find_map(|line| line.trim().parse::<u32>().ok())?;
        Some(Self {
            name: format!(":{number}"),
            size: Self::SIZE,
        })
    }
}
