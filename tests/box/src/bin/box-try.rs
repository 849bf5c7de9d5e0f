// SPDX-License-Identifier: GPL-3.0-or-later
//! What `cargo xtask try` shows: the box's desktop, or without a display the story on it.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bulkhead_box::qemu::Display;
use bulkhead_box::{Machine, Run, StoryMachine, setup};
use template_builder::Cache;

/// Where the screen is saved, in the folder that the command is run in.
const PICTURE: &str = "desktop.png";

/// How long the services of dom0 may take.
const SERVICES: Duration = Duration::from_secs(180);

/// What a person can do on the desktop.
const WHAT_TO_TRY: &str = "\
This is dom0, where Xen and Bulkhead run. Close the window to end. Try:

  bulkhead ls                            the domains that were made for you
  bulkhead start work untrusted          boot two of them (half a minute, emulated)
  bulkhead run --gui work -- xterm &     a terminal in work, framed in blue

A suspicious file, opened where it can do no harm:

  bulkhead run untrusted -- tee invoice.pdf <invoice.pdf >/dev/null
  bulkhead run untrusted -- bulkhead-open --disposable invoice.pdf &

A question: personal wants to give a file to work, and you say whether it may:

  bulkhead run personal -- sh -c 'echo hello > note; bulkhead-copy work note' &

Why untrusted may not copy files to work, and by which rule:

  bulkhead policy explain untrusted work qubes.Filecopy
";

/// Where the text stands in dom0.
const WELCOME: &str = "/run/box/welcome";

fn main() -> ExitCode {
    let headless = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--headless") => true,
        Some(other) => {
            eprintln!("error: `{other}` is not known\nhint: box-try [--headless]");
            return ExitCode::from(2);
        }
    };
    let shown = if headless { story() } else { desktop() };
    testkit::outcome(shown)
}

fn story() -> anyhow::Result<()> {
    let mut machine = boot(Display::Headless)?;
    println!();
    let transcript = e2e::play(
        &mut StoryMachine::new(&mut machine, setup::TEMPLATE),
        &mut |step| print!("{step}"),
    );
    for (name, value) in &transcript.figures {
        println!("  {name}: {value}");
    }
    machine.screenshot(Path::new(PICTURE))?;
    println!("the screen is in {PICTURE}");
    machine.power_off()?;
    if !transcript.passed() {
        bail!("the story failed; what it expected stands above");
    }
    Ok(())
}

fn desktop() -> anyhow::Result<()> {
    let mut machine = boot(Display::Window)?;
    e2e::prepare(&mut StoryMachine::new(&mut machine, setup::TEMPLATE))
        .context("the domains could not be made")?;
    machine.put("/root/invoice.pdf", 0o644, &e2e::invoice("Please pay"))?;
    machine.put(WELCOME, 0o644, WHAT_TO_TRY.as_bytes())?;
    let shell = format!("cat {WELCOME}; exec bash");
    let terminal = ["xterm", "-title", "dom0", "-geometry", "100x28+20+20"];
    let argv = [&terminal[..], &["-e", "sh", "-c", &shell]].concat();
    machine.spawn(Run::new(&argv), "/var/log/terminal.log")?;
    println!("\n{WHAT_TO_TRY}");
    machine.await_end();
    Ok(())
}

fn boot(display: Display) -> anyhow::Result<Machine> {
    let begun = Instant::now();
    let progress = |text: &str| println!("{:6.1} s  {text}", begun.elapsed().as_secs_f32());
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    let programs = own.parent().unwrap_or(Path::new("."));
    let mut options = setup::prepare(&Cache::of_user(), programs, &progress)?;
    options.display = display;
    progress("the images are there; booting Xen");
    let booting = Instant::now();
    let machine = Machine::boot(&options)?;
    progress("dom0 answers");
    machine.await_path("/run/box/xen", SERVICES)?;
    progress("Xen and our daemons are ready");
    machine.await_path("/run/box/desktop", SERVICES)?;
    machine.await_path(setup::PROMPT, SERVICES)?;
    let seconds = booting.elapsed().as_secs_f32();
    progress(&format!(
        "the desktop is up, {seconds:.1} s after QEMU's start"
    ));
    Ok(machine)
}
