// SPDX-License-Identifier: GPL-3.0-or-later
//! What a screen reader gets: the accessibility bus, and the tree of controls on it.

use std::process::Command;

use gtk4::gio::{DBusCallFlags, DBusConnection, DBusConnectionFlags};
use gtk4::glib::variant::{ObjectPath, ToVariant, Variant};

use crate::desktop::Program;
use crate::screen::{HANG, Place};

const REGISTRY: &str = "org.a11y.atspi.Registry";
const ROOT: &str = "/org/a11y/atspi/accessible/root";
const ACCESSIBLE: &str = "org.a11y.atspi.Accessible";

/// A screen reader in a session of its own.
pub struct Ears {
    /// The bus of the session, where programs ask for the other.
    pub address: String,
    accessibility: DBusConnection,
    _daemon: Program,
    _runtime: tempfile::TempDir,
}

/// A control, or what holds some: the program's name on the bus and its path there.
type Reference = (String, ObjectPath);

/// A control as a screen reader knows it.
#[derive(Clone, Debug)]
pub struct Control {
    pub role: String,
    pub name: String,
    pub states: Vec<&'static str>,
}

/// The states that matter here, by their numbers.
const STATES: [(u32, &str); 4] = [
    (4, "checked"),
    (8, "enabled"),
    (12, "focused"),
    (23, "selected"),
];

impl Ears {
    pub fn open() -> Self {
        // Where the accessibility bus has its socket, which is one for all of a user otherwise.
        let runtime = tempfile::tempdir().unwrap();
        let (daemon, address) = Program::start_ready(
            Command::new("dbus-daemon")
                .args(["--session", "--nofork", "--print-address"])
                .env("XDG_RUNTIME_DIR", runtime.path()),
        );
        let session = connect(&address);
        let asked = ("org.a11y.Bus", "GetAddress");
        let answer = call(&session, "org.a11y.Bus", "/org/a11y/bus", asked, None).unwrap();
        let (accessibility,): (String,) = answer.get().unwrap();
        Self {
            accessibility: connect(&accessibility),
            address,
            _daemon: daemon,
            _runtime: runtime,
        }
    }

    fn window(&self, title: &str) -> Option<Reference> {
        let programs = self.children(&(REGISTRY.to_owned(), path(ROOT)))?;
        programs.iter().find_map(|program| {
            let windows = self.children(program)?;
            let called = |window: &Reference| self.name(window).starts_with(title);
            windows.into_iter().find(called)
        })
    }

    /// All controls of the window whose name begins with `title`, from the top.
    pub fn controls(&self, title: &str) -> Option<Vec<Control>> {
        let window = self.window(title)?;
        let mut controls = Vec::new();
        self.collect(&window, &mut controls)?;
        Some(controls)
    }

    /// Where the control called `name` is in the window whose name begins with `title`.
    pub fn place(&self, title: &str, name: &str) -> Option<Place> {
        let window = self.window(title)?;
        let control = self.search(&window, name)?;
        let of_the_window = 1_u32.to_variant();
        let asked = ("org.a11y.atspi.Component", "GetExtents");
        let arguments = Variant::tuple_from_iter([of_the_window]);
        let answer = self.ask(&control, asked, Some(arguments))?;
        let ((x, y, width, height),): ((i32, i32, i32, i32),) = answer.get()?;
        Some(Place {
            x,
            y,
            width,
            height,
        })
    }

    fn search(&self, below: &Reference, name: &str) -> Option<Reference> {
        if self.name(below) == name {
            return Some(below.clone());
        }
        let mut children = self.children(below)?.into_iter();
        children.find_map(|child| self.search(&child, name))
    }

    fn collect(&self, of: &Reference, into: &mut Vec<Control>) -> Option<()> {
        into.push(self.control(of)?);
        for child in self.children(of)? {
            self.collect(&child, into)?;
        }
        Some(())
    }

    fn control(&self, of: &Reference) -> Option<Control> {
        let role = self.ask(of, (ACCESSIBLE, "GetRoleName"), None)?;
        let (role,): (String,) = role.get()?;
        let (bits,): (Vec<u32>,) = self.ask(of, (ACCESSIBLE, "GetState"), None)?.get()?;
        let has = |number: u32| bits[0] & (1 << number) != 0;
        Some(Control {
            role,
            name: self.name(of),
            states: STATES
                .into_iter()
                .filter_map(|(number, word)| has(number).then_some(word))
                .collect(),
        })
    }

    fn name(&self, of: &Reference) -> String {
        let asked = (ACCESSIBLE, "Name").to_variant();
        let answer = self.ask(of, ("org.freedesktop.DBus.Properties", "Get"), Some(asked));
        let value = answer.and_then(|answer| answer.get::<(Variant,)>());
        value.and_then(|(name,)| name.get()).unwrap_or_default()
    }

    fn children(&self, of: &Reference) -> Option<Vec<Reference>> {
        let answer = self.ask(of, (ACCESSIBLE, "GetChildren"), None)?;
        answer
            .get::<(Vec<Reference>,)>()
            .map(|(children,)| children)
    }

    /// Nothing when the control has gone meanwhile.
    fn ask(&self, of: &Reference, what: (&str, &str), with: Option<Variant>) -> Option<Variant> {
        call(&self.accessibility, &of.0, of.1.as_str(), what, with).ok()
    }
}

/// What the user can operate, in lines, for a snapshot.
pub fn told(controls: &[Control]) -> String {
    let line = |control: &Control| {
        let role = control.kind()?;
        let Control { name, states, .. } = control;
        let states = states.iter().map(|state| format!(" [{state}]"));
        Some(format!("{role} {name:?}{}\n", states.collect::<String>()))
    };
    controls.iter().filter_map(line).collect()
}

impl Control {
    /// What the user can do with it: versions of GTK have different words for the same role.
    pub fn kind(&self) -> Option<&'static str> {
        match &*self.role {
            "button" | "push button" => Some("button"),
            "checkbox" | "check box" | "radio button" | "radio" => Some("choice"),
            "search box" | "entry" | "text" => Some("entry"),
            "list" | "list box" => Some("list"),
            "list item" => Some("item"),
            _ => None,
        }
    }
}

fn connect(address: &str) -> DBusConnection {
    let flags =
        DBusConnectionFlags::AUTHENTICATION_CLIENT | DBusConnectionFlags::MESSAGE_BUS_CONNECTION;
    DBusConnection::for_address_sync(address, flags, None, gtk4::gio::Cancellable::NONE).unwrap()
}

fn path(path: &str) -> ObjectPath {
    path.to_owned().try_into().unwrap()
}

fn call(
    bus: &DBusConnection,
    name: &str,
    place: &str,
    (interface, method): (&str, &str),
    with: Option<Variant>,
) -> Result<Variant, gtk4::glib::Error> {
    bus.call_sync(
        Some(name),
        place,
        interface,
        method,
        with.as_ref(),
        None,
        DBusCallFlags::NONE,
        i32::try_from(HANG.as_millis()).unwrap(),
        gtk4::gio::Cancellable::NONE,
    )
}
