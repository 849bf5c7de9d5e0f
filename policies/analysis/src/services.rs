// SPDX-License-Identifier: GPL-3.0-or-later
//! The services that a desktop is known to have: what each does, and what whoever may call it
//! has in hand.

/// What a caller gets from a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Power {
    /// The callee does what the caller says: programs, its devices, its settings.
    Control,
    /// What the caller sends arrives, and may be opened or sent on.
    Data,
    /// Neither: a question, a notice.
    Little,
}

/// A service that is known.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its name.
    pub name: &'static str,
    /// What the caller gets.
    pub power: Power,
    /// What it does, to finish the sentence "it …".
    pub does: &'static str,
}

const fn known(name: &'static str, power: Power, does: &'static str) -> Known {
    Known { name, power, does }
}

const KNOWN: [Known; 45] = [
    known("policy.Ask", Power::Control, "asks the user"),
    known(
        "policy.EvalGUI",
        Power::Little,
        "says what policy would decide",
    ),
    known(
        "policy.EvalSimple",
        Power::Little,
        "says what policy would decide",
    ),
    known(
        "policy.Notify",
        Power::Little,
        "tells the user of a decision",
    ),
    known(
        "policy.RegisterArgument",
        Power::Control,
        "adds rules to the policy",
    ),
    known("qubes.Backup", Power::Data, "keeps a backup"),
    known(
        "qubes.ClipboardPaste",
        Power::Data,
        "takes a clipboard's content",
    ),
    known("qubes.ConnectTCP", Power::Data, "connects to a port"),
    known(
        "qubes.FeaturesRequest",
        Power::Little,
        "says what a domain can do",
    ),
    known("qubes.Filecopy", Power::Data, "takes files"),
    known("qubes.GetAppmenus", Power::Little, "lists programs"),
    known("qubes.GetDate", Power::Little, "says the time"),
    known(
        "qubes.GetImageRGBA",
        Power::Data,
        "turns a picture into pixels",
    ),
    known("qubes.GetRandomizedTime", Power::Little, "says the time"),
    known("qubes.Gpg", Power::Control, "uses keys"),
    known("qubes.Gpg2", Power::Control, "uses keys"),
    known("qubes.GpgImportKey", Power::Data, "takes a public key"),
    known("qubes.InputKeyboard", Power::Control, "types"),
    known("qubes.InputMouse", Power::Control, "moves and clicks"),
    known("qubes.InputTablet", Power::Control, "points and clicks"),
    known(
        "qubes.InstallUpdatesGUI",
        Power::Control,
        "installs updates",
    ),
    known(
        "qubes.NotifyTools",
        Power::Little,
        "says which tools a domain has",
    ),
    known(
        "qubes.NotifyUpdates",
        Power::Little,
        "says that there are updates",
    ),
    known("qubes.OpenInVM", Power::Data, "opens a file"),
    known("qubes.OpenURL", Power::Data, "opens an address"),
    known(
        "qubes.PdfConvert",
        Power::Data,
        "turns a document into pictures",
    ),
    known("qubes.ReceiveUpdates", Power::Data, "takes packages"),
    known("qubes.Restore", Power::Data, "gives a backup back"),
    known("qubes.ResizeDisk", Power::Little, "grows a file system"),
    known("qubes.SetDateTime", Power::Control, "sets the clock"),
    known(
        "qubes.SetMonitorLayout",
        Power::Little,
        "takes the size of the screen",
    ),
    known("qubes.SshAgent", Power::Control, "uses keys"),
    known("qubes.StartApp", Power::Control, "starts a program"),
    known("qubes.SuspendPost", Power::Control, "wakes devices up"),
    known("qubes.SuspendPre", Power::Control, "puts devices to sleep"),
    known("qubes.SyncAppMenus", Power::Data, "takes menus"),
    known("qubes.USB", Power::Control, "gives a device away"),
    known("qubes.USBAttach", Power::Control, "attaches a device"),
    known("qubes.USBDetach", Power::Control, "detaches a device"),
    known(
        "qubes.UpdatesProxy",
        Power::Data,
        "gives access to the network",
    ),
    known("qubes.VMExec", Power::Control, "runs any program"),
    known("qubes.VMExecGUI", Power::Control, "runs any program"),
    known(
        "qubes.VMRootShell",
        Power::Control,
        "runs any program as root",
    ),
    known("qubes.VMShell", Power::Control, "runs any program"),
    known(
        "qubes.WaitForSession",
        Power::Little,
        "waits for the session",
    ),
];

/// What is known of a service.
pub fn service(name: &str) -> Option<Known> {
    KNOWN.iter().copied().find(|known| known.name == name)
}

/// The names of all known services.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|known| known.name)
}

/// What a caller gets from a service, known or not: of one that nobody knows, little is said.
pub(crate) fn power(name: &str) -> Power {
    match service(name) {
        Some(known) => known.power,
        // To change a domain, or the policy, is to control it; to list is not.
        None if name.starts_with("admin.") || name.starts_with("policy.") => {
            let last = name.rsplit('.').next().unwrap_or_default();
            match last {
                "List" | "Get" | "GetAll" | "GetFiles" | "Info" | "Stats" | "Events" => {
                    Power::Little
                }
                _ => Power::Control,
            }
        }
        None => Power::Little,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_known_by_name_or_family() {
        assert_eq!(power("qubes.VMShell"), Power::Control);
        assert_eq!(power("qubes.Filecopy"), Power::Data);
        assert_eq!(power("admin.vm.Kill"), Power::Control);
        assert_eq!(power("admin.vm.List"), Power::Little);
        assert_eq!(power("policy.Replace"), Power::Control);
        assert_eq!(power("my.Service"), Power::Little);
    }
}
