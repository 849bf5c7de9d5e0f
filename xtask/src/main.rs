// SPDX-License-Identifier: GPL-3.0-or-later
//! What a developer runs: `cargo xtask try`, `cargo xtask test`, `cargo xtask fuzz`,
//! `cargo xtask bench`.
//!
//! Each command installs the Debian packages it needs, says what it is doing and how long that
//! took, and can be repeated. It trusts the machine it runs on.
#![forbid(unsafe_code)]

mod checks;
mod fuzz;
mod packages;
mod programs;
mod progress;
mod space;
mod test;
mod tryout;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::progress::Progress;

/// Tries, tests and measures Bulkhead.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Boots real Xen in QEMU, with a desktop, framed windows and a disposable.
    ///
    /// With a display the desktop is yours; without one a story is played, its transcript
    /// printed and the screen saved as desktop.png.
    Try {
        /// Play the story without a window, even when there is a display.
        #[arg(long)]
        headless: bool,
    },
    /// Runs every check and every test.
    Test {
        /// Leave out what needs real Xen. Half of what is promised is then NOT tested.
        #[arg(long)]
        without_box: bool,
    },
    /// Lets libFuzzer search for inputs that break what reads hostile bytes.
    ///
    /// Needs a nightly compiler and cargo-fuzz.
    Fuzz {
        /// Only the targets whose name holds this text.
        name: Option<String>,
        /// For so many seconds each.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Prints the measured figures beside those that SPECIFICATION.md promises.
    Bench {
        /// Only the benches whose name holds this text.
        name: Option<String>,
    },
}

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let mut progress = Progress::start();
    let outcome = match command {
        Command::Try { headless } => tryout::run(&mut progress, headless),
        Command::Test { without_box } => test::run(&mut progress, without_box),
        Command::Fuzz { name, seconds } => fuzz::run(&mut progress, name.as_deref(), seconds),
        Command::Bench { name } => test::bench(&mut progress, name.as_deref()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("caused by: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The checkout this program was built from.
fn checkout() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}
