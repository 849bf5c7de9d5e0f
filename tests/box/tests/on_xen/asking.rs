// SPDX-License-Identifier: GPL-3.0-or-later
//! A guest's call about which a rule asks: the question on dom0's screen, and a person's hand that
//! answers it.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use bulkhead_types::Label;
use e2e::Picture;
use serde_json::Value;

use crate::dom0::Dom0;
use crate::hand::{button, point_at, press};
use crate::report::Report;

pub const CASES: &[&str] = &[
    "asking::a call waits for a question in its caller's colour, and a key at once answers nothing",
    "asking::a hand that presses the button allows the call",
    "asking::a hand on the keyboard refuses the next",
    "asking::the prompt is started again when it dies",
];

/// Asked by the policy that is shipped, whatever the story allows.
const CALL: &str = "bulkhead run personal -- bulkhead-copy work asked.txt";
const ARRIVED: &str = "bulkhead run work -- cat QubesIncoming/personal/asked.txt";

/// Prints the number of the question's window when it is in view.
const QUESTION: &str = "xdotool search --onlyvisible --name '^Allow this call[?] personal wants'";

/// The label of `personal`.
const FRAME: Label = Label::Green;
/// The label of `work`, in whose colour its icon is among the targets.
const TARGET: Label = Label::Blue;
/// Pixels of the frame on each side.
const THICK: i64 = 5;

/// The colour of the button that allows, once it counts.
const ALLOW: u32 = 0x1a_5f_b4;
/// Fewer pixels of it are in the mark of the target that is picked.
const BUTTON: usize = 1500;

/// How often a person tries again. A busy machine takes a key late, or not at all.
const TRIES: usize = 5;

pub fn play(report: &mut Report, dom0: &mut Dom0<'_>) {
    let [asked, allowed, refused, again] = CASES else {
        return;
    };
    let mut call = None;
    report.case(asked, || {
        dom0.succeed(
            "bulkhead run personal -- sh -c 'echo asked > asked.txt' && \
             bulkhead run work -- rm -rf QubesIncoming/personal",
        )?;
        call = Some(ask_and_press_at_once(dom0)?);
        let place = window(dom0)?;
        framed(&picture(dom0)?, place)?;
        dom0.fails(ARRIVED, 1, &[])
    });
    report.case(allowed, || {
        let call = call.take().context("no call waits")?;
        pick_and_allow(dom0)?;
        let ended = dom0.end(&call)?;
        ensure!(ended.code == 0, "{}: {}", ended.code, ended.all());
        ensure!(
            dom0.succeed(ARRIVED)? == "asked\n",
            "something else arrived"
        );
        recorded(dom0, ["allow", "allowed, to work"])
    });
    report.case(refused, || {
        let call = dom0.start(CALL)?;
        dom0.await_success(QUESTION)?;
        press_escape(dom0)?;
        let ended = dom0.end(&call)?;
        ensure!(ended.code == 126, "{}: {}", ended.code, ended.all());
        recorded(dom0, ["deny", "refused"])
    });
    report.case(again, || {
        // The older of the two starts the other one again.
        let other =
            "test $(pgrep -cx bulkhead-prompt) -eq 2 && test $(pgrep -nx bulkhead-prompt) -ne";
        let before =
            dom0.succeed("pgrep -nx bulkhead-prompt && pkill -KILL -nx bulkhead-prompt")?;
        dom0.await_success(&format!("{other} {}", before.trim()))?;
        dom0.await_success("bulkhead status | grep -v 'no prompt' | grep -q rules")?;
        let place = "stat -c '%a %U %G' /run/bulkhead/session";
        ensure!(
            dom0.succeed(place)? == "2770 root bulkhead\n",
            "it listens elsewhere"
        );
        Ok(())
    });
}

/// Starts the call, gives its question the keyboard as soon as it is seen, and presses what would
/// refuse it. On a busy machine half a second may pass between the two; then it is asked again.
fn ask_and_press_at_once(dom0: &Dom0<'_>) -> anyhow::Result<bulkhead_box::Started> {
    let mut told = String::new();
    for _ in 0..TRIES {
        let call = dom0.start(CALL)?;
        dom0.await_success(QUESTION)?;
        dom0.succeed(&format!(
            "w=$({QUESTION}) && xdotool windowfocus --sync $w key Escape && sleep 1"
        ))?;
        if dom0.run(QUESTION)?.code == 0 {
            return Ok(call);
        }
        told = dom0.end(&call)?.all();
    }
    bail!("a key counted that nobody can have meant, {TRIES} times: {told}")
}

/// Picks the target, since none is picked beforehand, and presses the button, which counts only then.
fn pick_and_allow(dom0: &mut Dom0<'_>) -> anyhow::Result<()> {
    for _ in 0..TRIES {
        let place = window(dom0)?;
        let picture = picture(dom0)?;
        let of = |colour| -> Vec<_> {
            let here = |(x, y): &(i64, i64)| picture.pixel(*x, *y) == Some(colour);
            places(place).filter(here).collect()
        };
        let (target, allow) = (of(TARGET.color().rgb()), of(ALLOW));
        let at = if allow.len() > BUTTON {
            // Its lower right corner is round.
            allow.last().map(|(x, y)| (x - 8, y - 8))
        } else {
            target.get(target.len() / 2).copied()
        };
        point_at(dom0, at.context("neither target nor button is in view")?)?;
        button(dom0, true)?;
        button(dom0, false)?;
        if gone(dom0)? {
            return Ok(());
        }
    }
    dom0.machine.screenshot(Path::new("asking.png"))?;
    bail!("the question is still there after {TRIES} presses, see asking.png")
}

/// Presses the window's band, which gives it the keyboard, and the key that refuses.
fn press_escape(dom0: &mut Dom0<'_>) -> anyhow::Result<()> {
    let [x, y, width, _] = window(dom0)?;
    point_at(dom0, (x + width / 2, y + 3 * THICK))?;
    button(dom0, true)?;
    button(dom0, false)?;
    dom0.await_success(&format!("test $(xdotool getwindowfocus) -eq $({QUESTION})"))?;
    for _ in 0..TRIES {
        press(dom0, &["esc"])?;
        if gone(dom0)? {
            return Ok(());
        }
    }
    bail!("the question is still there after Escape was pressed {TRIES} times")
}

/// Whether the question goes within a moment.
fn gone(dom0: &Dom0<'_>) -> anyhow::Result<bool> {
    let looked = dom0.run(&format!(
        "for _ in $(seq 15); do {QUESTION} >/dev/null || exit 0; sleep 0.2; done; exit 1"
    ))?;
    Ok(looked.code == 0)
}

/// Where the question's window is: x, y, width, height.
fn window(dom0: &Dom0<'_>) -> anyhow::Result<[i64; 4]> {
    let told = dom0.succeed(&format!(
        "xdotool getwindowgeometry --shell $({QUESTION}) && \
         xwininfo -id $({QUESTION}) | sed -n 's/.*Absolute upper-left \\(.\\): */AT_\\1=/p'"
    ))?;
    let number = |name: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(name));
        let line = line.with_context(|| format!("no {name} in {told}"))?;
        line.parse::<i64>().context("not a number")
    };
    Ok([
        number("AT_X=")?,
        number("AT_Y=")?,
        number("WIDTH=")?,
        number("HEIGHT=")?,
    ])
}

fn picture(dom0: &mut Dom0<'_>) -> anyhow::Result<Picture> {
    let file = tempfile::NamedTempFile::new()?;
    dom0.machine.screenshot_ppm(file.path())?;
    Ok(Picture::from_ppm(&std::fs::read(file.path())?)?)
}

/// The pixels of a window, row after row.
fn places([x, y, width, height]: [i64; 4]) -> impl Iterator<Item = (i64, i64)> {
    (y..y + height).flat_map(move |row| (x..x + width).map(move |column| (column, row)))
}

/// Each pixel of the frame is in the caller's colour.
fn framed(picture: &Picture, place: [i64; 4]) -> anyhow::Result<()> {
    let [x, y, width, height] = place;
    let inside = |(column, row): &(i64, i64)| {
        (x + THICK..x + width - THICK).contains(column)
            && (y + THICK..y + height - THICK).contains(row)
    };
    let frame: Vec<_> = places(place).filter(|at| !inside(at)).collect();
    let coloured = |at: &&(i64, i64)| picture.pixel(at.0, at.1) == Some(FRAME.color().rgb());
    let (good, all) = (frame.iter().filter(coloured).count(), frame.len());
    ensure!(
        good == all && all > 0,
        "{good} of {all} pixels of the frame are {FRAME}"
    );
    Ok(())
}

/// The ledger says of the last call what the user said.
fn recorded(dom0: &Dom0<'_>, expected: [&str; 2]) -> anyhow::Result<()> {
    let audit = dom0.succeed(
        "bulkhead policy audit service=qubes.Filecopy event=decision --last 1 --format json",
    )?;
    let records: Vec<Value> = serde_json::from_str(&audit)?;
    let said = records
        .first()
        .map(|record| ["verdict", "prompt"].map(|name| record[name].as_str().unwrap_or("-")));
    ensure!(
        said == Some(expected),
        "expected {expected:?} in the record {audit}"
    );
    Ok(())
}
