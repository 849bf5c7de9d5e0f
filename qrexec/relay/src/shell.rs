// SPDX-License-Identifier: GPL-3.0-or-later
//! The shell that runs what is written in dom0.

use std::path::Path;

/// bash, since those who write a command in dom0 have always had it there and use what it has over other shells;
/// where it is not installed, the shell that every system has.
pub fn dom0_shell() -> &'static Path {
    let bash = Path::new("/bin/bash");
    if bash.exists() {
        bash
    } else {
        Path::new("/bin/sh")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use qrexec_protocol::exec::Mode;

    use crate::start::{Host, Started};

    #[test]
    fn what_a_domain_reaches_in_dom0_is_a_command_for_bash() {
        let root = tempfile::tempdir().unwrap();
        let command = b"DEFAULT:[[ bash == b* ]] && echo matched";
        let started = Host::dom0(root.path()).start(command, Mode::Attached);
        let Started::Program(mut program) = started else {
            panic!("not started: {started:?}");
        };
        let mut said = String::new();
        let mut output = std::fs::File::from(program.output);
        output.read_to_string(&mut said).unwrap();
        assert_eq!((program.process.reap(), said.as_str()), (0, "matched\n"));
    }
}
