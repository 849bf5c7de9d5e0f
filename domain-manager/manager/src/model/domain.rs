// SPDX-License-Identifier: GPL-3.0-or-later
//! One domain, as the database remembers it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bulkhead_types::{DomainName, DomainUuid, Label};

use super::{Property, Value};

/// What kind of domain it is; decides which volumes it has and how long they live
/// (specification of the domain manager, 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum Class {
    AdminVM,
    TemplateVM,
    AppVM,
    DispVM,
    RemoteVM,
}

impl Class {
    /// Every class, in the order in which they are listed.
    pub const ALL: [Self; 5] = [
        Self::AdminVM,
        Self::AppVM,
        Self::DispVM,
        Self::RemoteVM,
        Self::TemplateVM,
    ];

    /// The class's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::AdminVM => "AdminVM",
            Self::TemplateVM => "TemplateVM",
            Self::AppVM => "AppVM",
            Self::DispVM => "DispVM",
            Self::RemoteVM => "RemoteVM",
        }
    }

    /// Whether it is a guest of this machine, which is started and stopped here.
    pub fn is_guest(self) -> bool {
        !matches!(self, Self::AdminVM | Self::RemoteVM)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Class {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|c| c.name() == text).ok_or(())
    }
}

/// How far an outside effect on a domain has been intended: written before the effect, so
/// that after a crash the repair knows what may lie around.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Volumes are being made; nobody has been told that the domain exists.
    Creating,
    /// At rest: the volumes that last, nothing else.
    Halted,
    /// Volumes, guest and daemons are being made; nobody has been told that it runs.
    Starting,
    /// A guest runs.
    Running,
    /// Guest and volumes are being removed; the domain does not come back.
    Removing,
}

impl Stage {
    const ALL: [Self; 5] = [
        Self::Creating,
        Self::Halted,
        Self::Starting,
        Self::Running,
        Self::Removing,
    ];

    /// The word in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Halted => "halted",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Removing => "removing",
        }
    }

    /// The stage of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }
}

/// A domain's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// What stays when the name changes.
    pub uuid: DomainUuid,
    /// Unique among the domains there are.
    pub name: DomainName,
    /// Fixed at creation.
    pub class: Class,
    /// The colour of its windows' frames.
    pub label: Label,
    /// Where root (and for disposables private) come from.
    pub template: Option<DomainUuid>,
    /// The domain that asked for it; for an unnamed disposable, its owner.
    pub created_by: DomainName,
    /// The number in the name of an unnamed disposable.
    pub dispid: Option<u16>,
    /// The effect that is under way or done.
    pub stage: Stage,
    /// The properties that were set; all others have their default.
    pub set: BTreeMap<Property, Value>,
}

impl Domain {
    /// A domain about to be created, without properties.
    pub fn new(uuid: DomainUuid, name: DomainName, class: Class, label: Label) -> Self {
        Self {
            uuid,
            name,
            class,
            label,
            template: None,
            created_by: DomainName::dom0(),
            dispid: None,
            stage: Stage::Creating,
            set: BTreeMap::new(),
        }
    }

    /// The administrative domain.
    pub fn dom0() -> Self {
        let (uuid, name) = (DomainUuid::dom0(), DomainName::dom0());
        Self {
            stage: Stage::Running,
            ..Self::new(uuid, name, Class::AdminVM, Label::Black)
        }
    }

    /// A property that was set to a truth value.
    pub fn flag(&self, property: Property) -> bool {
        self.set.get(&property) == Some(&Value::Flag(true))
    }

    /// Whether it is removed when it stops.
    pub fn auto_cleanup(&self) -> bool {
        self.class == Class::DispVM && self.flag(Property::AutoCleanup)
    }

    /// The name of its icon: from its class and label.
    pub fn icon(&self) -> String {
        let prefix = match self.class {
            Class::AdminVM => "adminvm",
            Class::TemplateVM => "templatevm",
            Class::AppVM => "appvm",
            Class::DispVM => "dispvm",
            Class::RemoteVM => "remotevm",
        };
        format!("{prefix}-{}", self.label)
    }

    /// The tags that follow from how it came to be; see also [`super::Model::tags`].
    pub fn tags(&self) -> Vec<String> {
        if self.class == Class::AdminVM {
            return Vec::new();
        }
        let mut tags = vec![format!("created-by-{}", self.created_by)];
        if self.dispid.is_some() {
            tags.push(format!("disp-created-by-{}", self.created_by));
        }
        if self.class.is_guest() {
            tags.push("guivm-dom0".to_owned());
        }
        tags
    }

    /// The domains it refers to, and as what.
    pub fn references(&self) -> impl Iterator<Item = (&DomainUuid, Property)> {
        let template = self.template.iter().map(|t| (t, Property::Template));
        let others = self.set.iter().filter_map(|(property, value)| match value {
            Value::Domain(Some(uuid)) => Some((uuid, *property)),
            _ => None,
        });
        template.chain(others)
    }
}
