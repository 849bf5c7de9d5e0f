// SPDX-License-Identifier: GPL-3.0-or-later
//! Step: a picture of the desktop, in which every frame is whole.

use anyhow::ensure;
use bulkhead_types::Label;

use super::stage::Stage;
use super::terminals::open_terminal;
use crate::Picture;
use crate::desktop::{FRAME_WIDTH, Window};

/// How far a window manager's decoration reaches over a window, in pixels.
const DECORATION: i64 = 40;

pub(super) fn shown(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    open_terminal(stage, "personal", Label::Green)?;
    let windows = stage.succeed(&["desktop-probe", "windows"])?;
    let windows: Vec<Window> = serde_json::from_str(&windows)?;
    let picture = stage.machine.screenshot()?;
    for (domain, label) in [
        ("work", Label::Blue),
        ("untrusted", Label::Red),
        ("personal", Label::Green),
    ] {
        let at = windows
            .iter()
            .position(|w| w.viewable && w.domain == domain);
        let Some(at) = at else {
            anyhow::bail!("expected a window of {domain} among {windows:?}")
        };
        let (good, all) = frame_pixels(&picture, &windows[at], &windows[at + 1..], label);
        ensure!(
            good == all && all > 0,
            "expected all {all} visible pixels of the frame of {domain} to be {label}; {good} are"
        );
        stage.note(format!("{domain}: {all} pixels of frame, all {label}"));
    }
    stage.picture = Some(picture);
    Ok(())
}

/// How many pixels of a window's frame are in its colour, and how many are not hidden by
/// the windows above it.
fn frame_pixels(
    picture: &Picture,
    window: &Window,
    above: &[Window],
    label: Label,
) -> (usize, usize) {
    let (width, height) = (i64::from(window.width), i64::from(window.height));
    let thick = FRAME_WIDTH as i64;
    let hidden = |x: i64, y: i64| {
        above.iter().filter(|w| w.viewable).any(|w| {
            let (right, bottom) = (w.x + i64::from(w.width), w.y + i64::from(w.height));
            (w.x - DECORATION..right + DECORATION).contains(&x)
                && (w.y - DECORATION..bottom + DECORATION).contains(&y)
        })
    };
    let inside = |x: i64, y: i64| {
        (thick..width - thick).contains(&x) && (thick..height - thick).contains(&y)
    };
    let frame = (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .filter(|(x, y)| !inside(*x, *y))
        .map(|(x, y)| (window.x + x, window.y + y))
        .filter(|(x, y)| !hidden(*x, *y));
    let colors: Vec<Option<u32>> = frame.map(|(x, y)| picture.pixel(x, y)).collect();
    let good = colors
        .iter()
        .filter(|c| **c == Some(label.color().rgb()))
        .count();
    (good, colors.len())
}
