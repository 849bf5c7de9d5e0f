// SPDX-License-Identifier: MIT OR Apache-2.0
//! A rule: which calls it is about and what becomes of them.

use std::fmt;

use crate::pattern::{ArgumentPattern, Pattern, Redirect, ServicePattern};
use bulkhead_policy_text::{Location, Span};

/// One rule of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// File and line.
    pub location: Location,
    /// The rule's text, from its first to its last word.
    pub span: Span,
    /// Which services.
    pub service: ServicePattern,
    /// Which arguments.
    pub argument: ArgumentPattern,
    /// Which callers.
    pub source: Pattern,
    /// Which targets.
    pub target: Pattern,
    /// What becomes of the call.
    pub action: Action,
}

/// What a rule decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The call runs.
    Allow(Options),
    /// The user is asked.
    Ask {
        /// How the call runs if the user agrees.
        options: Options,
        /// The choice to offer first.
        default_target: Option<Redirect>,
    },
    /// The call is refused.
    Deny {
        /// Whether the user is told.
        notify: bool,
    },
}

/// How an allowed call runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where it goes instead of where it was meant to go.
    pub target: Option<Redirect>,
    /// The user who runs the service; `None` is the target's default user.
    pub user: Option<Box<str>>,
    /// Whether a target that is off is started.
    pub autostart: bool,
    /// Whether the user is told.
    pub notify: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            target: None,
            user: None,
            autostart: true,
            notify: false,
        }
    }
}

impl Action {
    /// The word the rule was written with.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Allow(_) => "allow",
            Self::Ask { .. } => "ask",
            Self::Deny { .. } => "deny",
        }
    }

    /// How the call runs, where it may.
    pub fn options(&self) -> Option<&Options> {
        match self {
            Self::Allow(options) | Self::Ask { options, .. } => Some(options),
            Self::Deny { .. } => None,
        }
    }

    /// Whether the user is told when the rule refuses a call.
    pub fn notify(&self) -> bool {
        match self {
            Self::Allow(options) | Self::Ask { options, .. } => options.notify,
            Self::Deny { notify } => *notify,
        }
    }

    /// Whether a destination that is off is started.
    pub fn autostart(&self) -> bool {
        self.options().is_none_or(|options| options.autostart)
    }

    /// The `user=` of the rule.
    pub fn user(&self) -> Option<&str> {
        self.options()?.user.as_deref()
    }

    /// The `target=` of the rule.
    pub fn redirect(&self) -> Option<&Redirect> {
        self.options()?.target.as_ref()
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Self::Deny { notify: true } => Ok(()),
            Self::Deny { notify: false } => f.write_str(" notify=no"),
            Self::Allow(options) => options.fmt(f),
            Self::Ask {
                options,
                default_target,
            } => {
                options.fmt(f)?;
                match default_target {
                    Some(target) => write!(f, " default_target={target}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(target) = &self.target {
            write!(f, " target={target}")?;
        }
        if let Some(user) = &self.user {
            write!(f, " user={user}")?;
        }
        if !self.autostart {
            f.write_str(" autostart=no")?;
        }
        if self.notify {
            f.write_str(" notify=yes")?;
        }
        Ok(())
    }
}

impl fmt::Display for Rule {
    /// The rule in its shortest spelling, fields one blank apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            service,
            argument,
            source,
            target,
            action,
            ..
        } = self;
        write!(f, "{service} {argument} {source} {target} {action}")
    }
}
