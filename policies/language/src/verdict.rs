// SPDX-License-Identifier: MIT OR Apache-2.0
//! What policy says to a call. Nothing but an evaluation, or the answer to a question that
//! an evaluation asked, makes a [`Grant`].

use std::fmt;
use std::sync::Arc;

use bulkhead_policy_system::{Domain, System};
use bulkhead_types::{DomainName, DomainRef, Service};

use crate::relay::Relay;
use crate::rule::Rule;
use crate::rules::HeldRule;
use crate::target::{Caller, Destination, Target};

/// The decision on one call.
#[must_use = "a call may run only from the grant in its verdict"]
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It runs.
    Allow(Grant),
    /// The user decides.
    Ask(Question),
    /// It is refused.
    Deny(Reason),
}

impl Verdict {
    /// The rule that decided, unless none did.
    pub fn rule(&self) -> Option<&Rule> {
        match self {
            Self::Allow(grant) => Some(&grant.rule),
            Self::Ask(question) => Some(&question.rule),
            Self::Deny(reason) => reason.rule.as_deref(),
        }
    }

    /// `allow`, `ask` or `deny`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Allow(_) => "allow",
            Self::Ask(_) => "ask",
            Self::Deny(_) => "deny",
        }
    }
}

/// The permission to run one call.
#[must_use]
#[derive(Clone, Debug)]
pub struct Grant {
    pub(crate) rule: HeldRule,
    pub(crate) destination: Destination,
    pub(crate) requested: Target,
    pub(crate) relay: Option<Relay>,
}

impl Grant {
    /// The rule that allowed it.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Where the call goes.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// What was asked for, with the system taken into account.
    pub fn requested(&self) -> &Target {
        &self.requested
    }

    /// The domain that carries the call, when the destination is on another machine.
    pub fn relay(&self) -> Option<&Relay> {
        self.relay.as_ref()
    }

    /// Who runs the service; `None` is the default user of the destination. On another
    /// machine that is for its own policy to say.
    pub fn user(&self) -> Option<&str> {
        self.rule.action.user().filter(|_| self.relay.is_none())
    }

    /// Whether the destination is started when it is off.
    pub fn autostart(&self) -> bool {
        self.rule.action.autostart()
    }

    /// Whether the user is told.
    pub fn notify(&self) -> bool {
        self.rule.action.notify()
    }
}

/// A call that the user has to decide on.
#[must_use]
#[derive(Clone, Debug)]
pub struct Question {
    pub(crate) rule: HeldRule,
    pub(crate) source: DomainRef,
    pub(crate) caller: Option<Arc<Domain>>,
    pub(crate) service: Service,
    pub(crate) requested: Target,
    pub(crate) choices: Vec<Destination>,
    pub(crate) default: Option<Destination>,
}

impl Question {
    /// The rule that asks.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// What was asked for, with the system taken into account.
    pub fn requested(&self) -> &Target {
        &self.requested
    }

    /// Where the call may go, sorted by text; never empty.
    pub fn choices(&self) -> &[Destination] {
        &self.choices
    }

    /// The choice to offer first. The requested target is none by itself.
    pub fn default(&self) -> Option<&Destination> {
        self.default.as_ref()
    }

    /// The user that would run the service; `None` is the destination's default user.
    pub fn user(&self) -> Option<&str> {
        self.rule.action.user()
    }

    /// Whether a choice that is off would be started.
    pub fn autostart(&self) -> bool {
        self.rule.action.autostart()
    }

    /// The domain on whose screen the user can be asked; `None` means that nobody can be.
    /// Dom0 has its own.
    pub fn screen(&self) -> Option<&DomainName> {
        let caller = self.caller.as_ref()?;
        match caller.name.is_dom0() {
            true => Some(&caller.name),
            false => caller.guivm.as_ref(),
        }
    }

    /// The user agreed and chose `choice`; `system` is as it is now.
    pub fn agreed(self, choice: &Destination, system: &System) -> Result<Grant, Reason> {
        if !self.choices.contains(choice) {
            return Err(self.denied(Denial::NotAChoice(choice.to_string())));
        }
        let caller = Caller {
            reference: &self.source,
            dom0: self.source.is_dom0(),
            domain: self.caller.as_ref(),
            position: None,
        };
        let relay = match Relay::to(choice, &caller, &self.service, system) {
            Ok(relay) => relay,
            Err(denial) => return Err(self.denied(denial)),
        };
        Ok(Grant {
            rule: self.rule,
            destination: choice.clone(),
            requested: self.requested,
            relay,
        })
    }

    /// The user said no.
    pub fn refused(self) -> Reason {
        self.denied(Denial::UserRefused)
    }

    /// The user cannot be asked.
    pub fn unanswerable(self) -> Reason {
        self.denied(Denial::NobodyToAsk)
    }

    fn denied(self, denial: Denial) -> Reason {
        Reason {
            denial,
            rule: Some(self.rule),
        }
    }
}

/// Why a call is refused.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub(crate) denial: Denial,
    pub(crate) rule: Option<HeldRule>,
}

impl Reason {
    /// The kind of refusal.
    pub fn denial(&self) -> &Denial {
        &self.denial
    }

    /// The rule that decided, unless none did.
    pub fn rule(&self) -> Option<&Rule> {
        self.rule.as_deref()
    }

    /// Whether the user is told. A rule may keep quiet about what it itself refuses.
    pub fn notify(&self) -> bool {
        use Denial::{NotRunning, Rule, UserRefused, WouldStart};
        match (&self.denial, &self.rule) {
            (Rule | NotRunning(_) | WouldStart | UserRefused, Some(rule)) => rule.action.notify(),
            _ => true,
        }
    }
}

impl fmt::Display for Reason {
    /// One line for a person: the kind and, where a rule decided, its place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.denial.fmt(f)?;
        match &self.rule {
            Some(rule) => write!(f, " ({})", rule.location),
            None => Ok(()),
        }
    }
}

/// The ways to be refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// A rule says `deny`.
    #[error("a rule denies the call")]
    Rule,
    /// No rule is about the call.
    #[error("no rule allows the call")]
    NoRule,
    /// A disposable was asked for of what is no template for disposables.
    #[error("`{0}` is not a template for disposables")]
    NoSuchTemplate(String),
    /// The rule leaves the target to the caller, who named none that exists.
    #[error("the call names no target that exists, and the rule that allows it names none")]
    NoTarget,
    /// The rule sends calls to what is not there.
    #[error("the rule sends the call to `{0}`, which does not exist")]
    MissingRedirect(String),
    /// The caller has no disposable template of its own.
    #[error("the caller has no default template for disposables")]
    NoDefaultDisposable,
    /// The rule starts nothing and the target is off.
    #[error("`{0}` is not running, and the rule says `autostart=no`")]
    NotRunning(String),
    /// The rule starts nothing, and a disposable would have to start.
    #[error("a disposable would have to start, and the rule says `autostart=no`")]
    WouldStart,
    /// A domain calls itself.
    #[error("a domain cannot call itself")]
    Loopback,
    /// A question without an answer.
    #[error("the rule asks the user, but there is no target to choose")]
    NoChoices,
    /// The answer was none of the choices.
    #[error("`{0}` is not among the targets to choose from")]
    NotAChoice(String),
    /// The user said no.
    #[error("the user refused")]
    UserRefused,
    /// No screen, or nothing that asks.
    #[error("the rule asks the user, and nobody can be asked")]
    NobodyToAsk,
    /// The caller is none of the domains there are, so there is nobody to ask.
    #[error("the rule asks the user of `{0}`, which does not exist")]
    UnknownCaller(String),
    /// The target lives on another machine and the way there is not set.
    #[error("`{0}` is a remote domain without a relay, or without the service that carries calls")]
    Unreachable(String),
    /// A domain speaks for one that is not remote.
    #[error("`{0}` is no remote domain, and nobody else can speak for it")]
    NotRemote(String),
    /// A domain speaks for a remote one that is not reached through it.
    #[error("`{relay}` is not the relay of `{remote}`")]
    NotRelay {
        /// The caller.
        relay: String,
        /// For whom it speaks.
        remote: String,
    },
}
