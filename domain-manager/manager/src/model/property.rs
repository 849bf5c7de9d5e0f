// SPDX-License-Identifier: GPL-3.0-or-later
//! The properties of domains: names, types and who has them.
//!
//! Names, types and order are those of the specification of the domain manager (2.3, 1.6).

use std::fmt;

use bulkhead_types::{DomainUuid, Label};

use super::Class;

/// A property's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
    /// A truth value.
    Flag(bool),
    /// Another domain, or none.
    Domain(Option<DomainUuid>),
    /// A label.
    Label(Label),
}

/// How a value is written and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `str`
    Text,
    /// `int`
    Number,
    /// `bool`
    Flag,
    /// `vm`
    Domain,
    /// `label`
    Label,
}

impl Kind {
    /// The name that stands in replies as `type=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "str",
            Self::Number => "int",
            Self::Flag => "bool",
            Self::Domain => "vm",
            Self::Label => "label",
        }
    }
}

macro_rules! properties {
    ($($variant:ident $name:literal $kind:ident $writable:literal),* $(,)?) => {
        /// A property of a domain.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "the specification names them")]
        pub enum Property { $($variant),* }

        impl Property {
            /// Every property, in the order in which lists show them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The property's name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The type of its values.
            pub fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind),* }
            }

            /// Whether it can be set; the others are computed or fixed at creation.
            pub fn writable(self) -> bool {
                match self { $(Self::$variant => $writable),* }
            }
        }
    };
}

properties! {
    AutoCleanup "auto_cleanup" Flag true,
    DefaultUser "default_user" Text true,
    Dispid "dispid" Number false,
    Icon "icon" Text false,
    Kernel "kernel" Text true,
    Klass "klass" Text false,
    Label "label" Label true,
    Memory "memory" Number true,
    Name "name" Text false,
    QrexecTimeout "qrexec_timeout" Number true,
    RemoteName "remote_name" Text true,
    ShutdownTimeout "shutdown_timeout" Number true,
    TemplateForDispvms "template_for_dispvms" Flag true,
    TransportRpc "transport_rpc" Text true,
    Uuid "uuid" Text false,
    Vcpus "vcpus" Number true,
    VirtMode "virt_mode" Text true,
    Xid "xid" Number false,
    DefaultDispvm "default_dispvm" Domain true,
    Guivm "guivm" Domain false,
    Relayvm "relayvm" Domain true,
    Template "template" Domain true,
}

impl Property {
    /// The property of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|p| p.name() == name)
    }

    /// Whether domains of a class have it.
    pub fn applies_to(self, class: Class) -> bool {
        match self {
            Self::Klass
            | Self::Label
            | Self::Icon
            | Self::Name
            | Self::Uuid
            | Self::DefaultDispvm => true,
            Self::AutoCleanup | Self::Dispid => class == Class::DispVM,
            Self::Template => matches!(class, Class::AppVM | Class::DispVM),
            Self::TemplateForDispvms => matches!(class, Class::AppVM | Class::TemplateVM),
            Self::RemoteName | Self::Relayvm | Self::TransportRpc => class == Class::RemoteVM,
            _ => class.is_guest(),
        }
    }

    /// Whether a domain without a value of its own takes its template's.
    pub fn inherited(self) -> bool {
        matches!(
            self,
            Self::DefaultUser
                | Self::Kernel
                | Self::Memory
                | Self::QrexecTimeout
                | Self::ShutdownTimeout
                | Self::Vcpus
                | Self::VirtMode
        )
    }

    /// Whether a running domain has to be stopped before the property may change.
    pub fn only_while_halted(self) -> bool {
        matches!(self, Self::Template | Self::TemplateForDispvms)
    }

    /// Whether it has no default to return to.
    pub fn mandatory(self) -> bool {
        matches!(self, Self::Label | Self::Template)
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A property of the system as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Global {
    /// The disposable template of a domain that names none.
    DefaultDispvm,
    /// The template of a new domain that names none.
    DefaultTemplate,
}

impl Global {
    /// Every one of them.
    pub const ALL: [Self; 2] = [Self::DefaultDispvm, Self::DefaultTemplate];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::DefaultDispvm => "default_dispvm",
            Self::DefaultTemplate => "default_template",
        }
    }

    /// The one of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|g| g.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_in_alphabetical_order_with_the_references_to_domains_last() {
        let names: Vec<&str> = Property::ALL.iter().map(|p| p.name()).collect();
        let (plain, references) = names.split_at(names.len() - 4);
        assert!(plain.is_sorted());
        assert_eq!(
            references,
            ["default_dispvm", "guivm", "relayvm", "template"]
        );
        for property in Property::ALL {
            assert_eq!(Property::find(property.name()), Some(*property));
        }
    }
}
