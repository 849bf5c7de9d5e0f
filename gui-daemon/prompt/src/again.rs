// SPDX-License-Identifier: GPL-3.0-or-later
//! For a session without systemd: the program as a child that is started again after a crash.
//!
//! One that ends by itself, because the display is gone or another prompt is there, stays ended.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode};
use std::time::Duration;

use tracing::{error, warn};

/// Between two starts.
const PAUSE: Duration = Duration::from_millis(200);
/// How a program ends that panics.
const PANIC: i32 = 101;

/// Runs this program without the word `--again`, as often as it crashes.
pub fn run() -> ExitCode {
    let words = || std::env::args_os().skip(1).filter(|word| word != "--again");
    loop {
        let own = std::env::current_exe();
        let ended = own.and_then(|own| Command::new(own).args(words()).status());
        match ended {
            Ok(status) if status.signal().is_some() || status.code() == Some(PANIC) => {
                warn!("the prompt has crashed ({status}), and is started again");
                std::thread::sleep(PAUSE);
            }
            Ok(status) => {
                let code = status.code().and_then(|code| u8::try_from(code).ok());
                return code.map_or(ExitCode::FAILURE, ExitCode::from);
            }
            Err(error) => {
                error!("the prompt cannot be started: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
}
