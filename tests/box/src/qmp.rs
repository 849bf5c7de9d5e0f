// SPDX-License-Identifier: GPL-3.0-or-later
//! A client for QEMU's monitor (QMP): JSON over a Unix socket.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::BoxError;

/// How long the monitor may take for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

const HUNG_UP: &str = "nothing, it has hung up";

/// A connection to the monitor.
pub struct Monitor {
    reader: BufReader<UnixStream>,
}

impl Monitor {
    /// Connects to the monitor's socket and leaves its greeting phase.
    pub fn connect(socket: &Path) -> Result<Self, BoxError> {
        let stream = UnixStream::connect(socket).map_err(BoxError::io("connect to", socket))?;
        Self::over(stream)
            .map_err(BoxError::io("talk to", socket))?
            .greeted()
    }

    fn over(stream: UnixStream) -> std::io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            reader: BufReader::new(stream),
        })
    }

    fn greeted(mut self) -> Result<Self, BoxError> {
        self.line("greeting")?;
        self.execute("qmp_capabilities", json!({}))?;
        Ok(self)
    }

    /// Runs one command and gives what it returns. Events that come before are dropped.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, BoxError> {
        let failed = |said: String| BoxError::Monitor {
            command: command.into(),
            said,
        };
        let line = json!({"execute": command, "arguments": arguments}).to_string();
        writeln!(self.reader.get_mut(), "{line}").map_err(|_| failed(HUNG_UP.into()))?;
        loop {
            let mut answer = self.line(command)?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                let said = error
                    .get("desc")
                    .and_then(Value::as_str)
                    .unwrap_or("an error");
                return Err(failed(said.to_owned()));
            }
        }
    }

    /// Writes what the display shows to `path`, in a `format` that QEMU knows: `png` or `ppm`.
    pub fn screenshot(&mut self, path: &Path, format: &str) -> Result<(), BoxError> {
        let arguments = json!({"filename": path.display().to_string(), "format": format});
        self.execute("screendump", arguments).map(drop)
    }

    fn line(&mut self, command: &str) -> Result<Value, BoxError> {
        let failed = |said: String| BoxError::Monitor {
            command: command.into(),
            said,
        };
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => Err(failed(HUNG_UP.into())),
            Ok(_) => serde_json::from_str(&line).map_err(|error| failed(error.to_string())),
            // Whoever hangs up on what it has not read resets the connection.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Err(failed(HUNG_UP.into())),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn monitor(script: &'static [&'static str]) -> Result<Monitor, BoxError> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        thread::spawn(move || {
            let mut lines = BufReader::new(theirs.try_clone().unwrap()).lines();
            let mut out = theirs;
            writeln!(out, r#"{{"QMP": {{}}}}"#).unwrap();
            for answer in script {
                lines.next();
                writeln!(out, "{answer}").unwrap();
            }
        });
        Monitor::over(ours).unwrap().greeted()
    }

    #[test]
    fn events_before_the_answer_are_dropped() {
        let script = &[
            r#"{"return": {}}"#,
            "{\"event\": \"RTC_CHANGE\"}\n{\"return\": 7}",
        ];
        let mut monitor = monitor(script).unwrap();
        assert_eq!(monitor.execute("x", json!({})).unwrap(), 7);
    }

    #[test]
    fn an_error_is_told_in_the_monitors_words() {
        let script = &[
            r#"{"return": {}}"#,
            r#"{"error": {"class": "x", "desc": "no display"}}"#,
        ];
        let error = monitor(script)
            .unwrap()
            .screenshot(Path::new("/x"), "png")
            .unwrap_err();
        insta::assert_snapshot!(error, @"QEMU's monitor answers to `screendump`: no display");
    }

    #[test]
    fn a_monitor_that_hangs_up_is_an_error() {
        let error = monitor(&[r#"{"return": {}}"#])
            .unwrap()
            .execute("quit", json!({}))
            .unwrap_err();
        insta::assert_snapshot!(error, @"QEMU's monitor answers to `quit`: nothing, it has hung up");
    }
}
