// SPDX-License-Identifier: GPL-3.0-or-later
//! A person's hands: the keyboard and the mouse of the machine.

use e2e::desktop::Window;
use serde_json::{Value, json};

use crate::dom0::Dom0;

/// What the monitor's coordinates of a pointer end at.
const POINTER_MAX: i64 = 0x7fff;

fn send(dom0: &mut Dom0<'_>, events: Value) -> anyhow::Result<()> {
    let monitor = dom0.machine.monitor();
    monitor.execute("input-send-event", json!({ "events": events }))?;
    Ok(())
}

/// Moves the pointer into the middle of a window.
pub fn point(dom0: &mut Dom0<'_>, window: &Window) -> anyhow::Result<()> {
    let middle = (
        window.x + i64::from(window.width) / 2,
        window.y + i64::from(window.height) / 2,
    );
    point_at(dom0, middle)
}

/// Moves the pointer to a place on the screen.
pub fn point_at(dom0: &mut Dom0<'_>, (x, y): (i64, i64)) -> anyhow::Result<()> {
    let size = dom0.succeed("xdotool getdisplaygeometry")?;
    let mut size = size.split_whitespace().map(str::parse::<i64>);
    let (Some(Ok(width)), Some(Ok(height))) = (size.next(), size.next()) else {
        anyhow::bail!("dom0's display has no size");
    };
    // In the middle of the pixel.
    let (x, y) = (
        (2 * x + 1) * POINTER_MAX / (2 * width),
        (2 * y + 1) * POINTER_MAX / (2 * height),
    );
    let moved = |axis, value| json!({"type": "abs", "data": {"axis": axis, "value": value}});
    send(dom0, json!([moved("x", x), moved("y", y)]))
}

/// Presses a key as QEMU calls it, or lets it go.
pub fn key(dom0: &mut Dom0<'_>, code: &str, down: bool) -> anyhow::Result<()> {
    let name = json!({"type": "qcode", "data": code});
    send(
        dom0,
        json!([{"type": "key", "data": {"down": down, "key": name}}]),
    )
}

/// Presses the left button, or lets it go.
pub fn button(dom0: &mut Dom0<'_>, down: bool) -> anyhow::Result<()> {
    send(
        dom0,
        json!([{"type": "btn", "data": {"down": down, "button": "left"}}]),
    )
}

/// Presses a key as QEMU calls it, or the left button, and lets it go.
pub fn press(dom0: &mut Dom0<'_>, names: &[&str]) -> anyhow::Result<()> {
    let turn = |dom0: &mut Dom0<'_>, name: &str, down| match name {
        "button:left" => button(dom0, down),
        name => key(dom0, name, down),
    };
    for name in names {
        turn(dom0, name, true)?;
    }
    for name in names.iter().rev() {
        turn(dom0, name, false)?;
    }
    Ok(())
}

/// Types a letter on the layout that QEMU and X both start with.
pub fn type_key(dom0: &mut Dom0<'_>, letter: char) -> anyhow::Result<()> {
    let own = letter.to_string();
    match letter {
        '\n' => press(dom0, &["ret"]),
        ' ' => press(dom0, &["spc"]),
        '.' => press(dom0, &["dot"]),
        '>' => press(dom0, &["shift", "dot"]),
        _ => press(dom0, &[&own]),
    }
}
