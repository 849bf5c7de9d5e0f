// SPDX-License-Identifier: GPL-3.0-or-later
//! As whom services run, and by what that comes about.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Uid, User};

use crate::descriptors::Limit;
use crate::pam_session;
use crate::users::SWITCH_WORD;

/// As whom this process runs, and what that means for services.
#[derive(Clone, Debug)]
pub enum Identity {
    /// An agent with root's rights starts services as the user that was asked for, through this
    /// program (itself), or in a PAM session, through the other one.
    Root {
        /// This program.
        own: PathBuf,
        /// The one that keeps a PAM session, where the guest wants that.
        session: Option<PathBuf>,
    },
    /// An agent without them starts services for its own user only.
    User(String),
    /// The fork server of a user's session: the agent has chosen it by its user, and has looked at
    /// the service's configuration.
    Session,
    /// In dom0 services run as whoever runs the daemon.
    Dom0,
}

impl Identity {
    /// That of an agent: it can switch users if it has root's rights.
    pub(crate) fn of_agent() -> io::Result<Self> {
        let uid = Uid::effective();
        if uid.is_root() {
            let own = std::env::current_exe()?;
            let session = pam_session::program(&own);
            return Ok(Self::Root { own, session });
        }
        let user = User::from_uid(uid)?;
        Ok(Self::User(
            user.map_or_else(|| uid.to_string(), |user| user.name),
        ))
    }

    /// Whether a command that runs as a user keeps a PAM session around it.
    pub(crate) fn opens_sessions(&self) -> bool {
        matches!(
            self,
            Self::Root {
                session: Some(_),
                ..
            }
        )
    }

    /// A command that runs `program` as `user`.
    pub(crate) fn command(&self, user: &str, program: &Path) -> io::Result<Command> {
        match self {
            Identity::Root { own, session } => {
                // The other program says so itself.
                if session.is_none() && User::from_name(user)?.is_none() {
                    let text = format!("there is no user `{}`", user.escape_debug());
                    return Err(io::Error::other(text));
                }
                let mut command = Command::new(session.as_ref().unwrap_or(own));
                if session.is_none() {
                    command.arg(SWITCH_WORD);
                }
                command.arg(Limit::found().word()).arg(user).arg(program);
                Ok(command)
            }
            Identity::User(own) if own == user => Ok(Command::new(program)),
            Identity::User(own) => {
                let text = format!(
                    "the agent runs as {own} and cannot run anything as {}",
                    user.escape_debug()
                );
                Err(io::Error::other(text))
            }
            Identity::Dom0 | Identity::Session => Ok(Command::new(program)),
        }
    }
}
