// SPDX-License-Identifier: GPL-3.0-or-later
//! Running a service as the user that was asked for.
//!
//! The agent runs as root and starts services as others. Between fork and exec only little is
//! allowed, so it starts *itself* with [`SWITCH_WORD`], which changes the user in peace and then
//! becomes the service. The environment and the groups are set here.
//!
//! Linked with musl, which starts in a quarter of the time, this knows the users of `/etc/passwd` and those
//! that a daemon for nscd's socket tells of, and no other modules of glibc's name service switch.
//!
//! Where the guest has a PAM configuration for qrexec, the program `qrexec-pam-session` does this instead
//! ([`crate::pam_session`]).

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::SigSet;
use nix::unistd::{User, chdir, initgroups, setgid, setuid};
use qrexec_protocol::exit;

use crate::descriptors::Limit;

/// The first argument of an agent that is to become a service: `LIMIT USER PROGRAM ARGUMENTS…` follow,
/// the first being a [`Limit`].
pub const SWITCH_WORD: &str = "--become";
/// In place of the program: the user's login shell, which gets the rest as its command.
pub(crate) const LOGIN_SHELL: &str = "login-shell";

/// Takes the limit, becomes `user` and runs what `words` say. Returns only the exit code of a failure, which is
/// 127 when the program is not there, and 125 otherwise.
pub fn become_user(limit: &OsStr, user: &str, words: &[OsString]) -> i32 {
    let limited = Limit::named(limit).and_then(Limit::take);
    match limited.and_then(|()| switch(user, words)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => exit::NOT_FOUND,
        _ => exit::PROBLEM,
    }
}

fn switch(name: &str, words: &[OsString]) -> io::Result<Infallible> {
    let user = User::from_name(name)?.ok_or(io::ErrorKind::InvalidInput)?;
    let name = CString::new(name)?;
    initgroups(&name, user.gid)?;
    setgid(user.gid)?;
    setuid(user.uid)?;
    let home_there = chdir(&user.dir).is_ok();
    if !home_there {
        chdir("/")?;
    }
    // The agent's threads have signals blocked, which is nothing that a service expects.
    SigSet::empty().thread_set_mask()?;
    Err(service_command(&user, words).exec())
}

/// The command that `words` say, a program and its arguments, with the environment of `user`.
pub fn service_command(user: &User, words: &[OsString]) -> Command {
    let (program, arguments) = words
        .split_first()
        .map_or(("".as_ref(), words), |(program, rest)| {
            (program.as_os_str(), rest)
        });
    let mut command = if program == LOGIN_SHELL {
        login_shell(user)
    } else {
        Command::new(program)
    };
    let path = if user.uid.is_root() {
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    } else {
        "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
    };
    command.args(arguments);
    command
        .env("HOME", &user.dir)
        .env("USER", &user.name)
        .env("LOGNAME", &user.name);
    command.env("SHELL", &user.shell).env("PATH", path);
    command
}

fn login_shell(user: &User) -> Command {
    let mut command = Command::new(&user.shell);
    let mut name = OsString::from("-");
    name.push(user.shell.file_name().unwrap_or("sh".as_ref()));
    command.arg0(name).arg("-c");
    command
}
