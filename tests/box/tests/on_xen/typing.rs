// SPDX-License-Identifier: GPL-3.0-or-later
//! A person types into a guest's terminal and opens its menu, with the keyboard and the mouse of
//! the machine.

use std::path::Path;

use anyhow::{Context, ensure};
use e2e::desktop::Window;

use crate::dom0::Dom0;
use crate::hand::{button, key, point, press, type_key};
use crate::report::Report;

pub const CASES: &[&str] = &[
    "typing::a typed command runs in the terminal's domain",
    "typing::a menu is framed in its domain's colour",
];

/// Blue, the label of `work`.
const BLUE: &str = "3465a4";

/// Notes which windows there are.
const SEEN: &str = "desktop-probe windows >seen";

pub fn play(report: &mut Report, dom0: &mut Dom0<'_>) {
    let [typed, menu] = CASES else { return };
    let mut terminal = None;
    report.case(typed, || {
        // A title of its own, which sh leaves alone: other terminals of `work` may be open.
        let call = dom0.start("bulkhead run --gui work -- xterm -T by-hand -e sh")?;
        let window = raised(dom0)?;
        point(dom0, &window)?;
        press(dom0, &["button:left"])?;
        // Keys go to whichever window has the keyboard when they are pressed.
        dom0.await_success(&format!(
            "test $(xdotool getwindowfocus -f) -eq {}",
            window.id
        ))?;
        // Keys without shift, on the layout that QEMU and X both start with.
        for key in "echo typed by hand > ok.txt".chars() {
            type_key(dom0, key)?;
        }
        type_key(dom0, '\n')?;
        let typed = "test \"$(bulkhead run work -- cat ok.txt)\" = 'typed by hand'";
        let typed = dom0.await_success(typed);
        dom0.machine.screenshot(Path::new("typing.png"))?;
        typed?;
        terminal = Some((call, window));
        Ok(())
    });
    report.case(menu, || {
        let (call, window) = terminal.take().context("there is no terminal")?;
        point(dom0, &window)?;
        // Keyboard and mouse are two devices, and a busy display may take the button first: then
        // there is no menu, and a person tries again.
        let mut shown = Ok(());
        for _ in 0..5 {
            raised(dom0)?;
            shown = hold_menu(dom0);
            if shown.is_ok() {
                break;
            }
        }
        shown?;
        // The menu has the keyboard until it has gone.
        let menu = r#""title":"\[work] "[^}]*"viewable":true"#;
        dom0.await_success(&format!("{SEEN} && ! grep -q '{menu}' seen"))?;
        // No key is held any more where it was pressed: a plain letter is one. A person whose letters came
        // to nothing types them again.
        let gone = format!(
            "for _ in $(seq 100); do {SEEN}; grep -qF '[work] by-hand' seen || exit 0; sleep 0.2; done; exit 1"
        );
        for _ in 0..3 {
            for letter in "\nexit\n".chars() {
                type_key(dom0, letter)?;
            }
            if dom0.run(&gone)?.code == 0 {
                break;
            }
        }
        let ended = dom0.end(&call)?;
        ensure!(ended.code == 0, "{}: {}", ended.code, ended.all());
        Ok(())
    });
}

/// The terminal, on top of all others.
fn raised(dom0: &Dom0<'_>) -> anyhow::Result<Window> {
    let framed = format!("desktop-probe framed work '[work] by-hand' {BLUE} 200");
    let windows: Vec<Window> = serde_json::from_str(&dom0.succeed(&framed)?)?;
    windows.into_iter().next().context("no window")
}

/// Looks for xterm's main menu while Control and the left button are held.
fn hold_menu(dom0: &mut Dom0<'_>) -> anyhow::Result<()> {
    key(dom0, "ctrl", true)?;
    button(dom0, true)?;
    // A menu has no title of its own, and hides a part of the terminal.
    let shown = dom0.succeed(&format!(
        "for _ in $(seq 50); do \
           desktop-probe framed work '' {BLUE} 5 | grep -F '\"title\":\"[work] \"' && exit 0; \
           sleep 0.2; \
         done; exit 1"
    ));
    dom0.machine.screenshot(Path::new("menu.png"))?;
    button(dom0, false)?;
    key(dom0, "ctrl", false)?;
    shown.map(drop)
}
