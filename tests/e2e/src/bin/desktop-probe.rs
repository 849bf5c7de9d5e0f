// SPDX-License-Identifier: GPL-3.0-or-later
//! Looks at dom0's desktop for the tests: lists the windows of domains as JSON, waits for
//! frames, closes windows and takes pictures. Uses the display that `DISPLAY` names.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use e2e::desktop::{Desktop, Wanted};

const USAGE: &str = "usage: desktop-probe windows
       desktop-probe framed DOMAIN TITLE RRGGBB SECONDS
       desktop-probe gone DOMAIN SECONDS
       desktop-probe close WINDOW
       desktop-probe picture
DOMAIN may be - for any";

fn main() -> ExitCode {
    testkit::outcome(run())
}

fn run() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let desktop = Desktop::connect(None)?;
    let (wanted, seconds) = match words[..] {
        ["windows"] => return print(&serde_json::to_vec(&desktop.windows()?)?),
        ["picture"] => return print(&desktop.screen()?.to_ppm()),
        ["close", window] => {
            let window = window
                .parse()
                .context("WINDOW is an X id in decimal digits")?;
            return Ok(desktop.close(window)?);
        }
        ["framed", domain, title, color, seconds] => {
            let color = u32::from_str_radix(color, 16).context("RRGGBB is a colour")?;
            let domain = (domain != "-").then(|| domain.to_owned());
            let title = title.to_owned();
            (
                Wanted::Framed {
                    domain,
                    title,
                    color,
                },
                seconds,
            )
        }
        ["gone", domain, seconds] => (
            Wanted::NoneOf {
                domain: domain.into(),
            },
            seconds,
        ),
        _ => bail!("{USAGE}"),
    };
    let limit = Duration::from_secs(seconds.parse().context("SECONDS is a number")?);
    print(&serde_json::to_vec(&desktop.wait(&wanted, limit)?)?)
}

fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(bytes)?;
    Ok(output.flush()?)
}
