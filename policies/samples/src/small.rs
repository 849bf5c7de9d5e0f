// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small system, and policies and calls from text.

use std::collections::BTreeMap;

use bulkhead_policy::{
    Call, Domain, DomainRef, Includes, Policy, PolicyFile, Rejected, Requested, System, Unreadable,
};

use crate::shown::{shown, told};

/// The UUID of `work`.
pub const WORK_UUID: &str = "uuid:11111111-1111-4111-8111-111111111111";
/// The UUID of `disp-base`.
pub const BASE_UUID: &str = "uuid:33333333-3333-4333-8333-333333333333";
/// The UUID of dom0.
pub const DOM0_UUID: &str = "uuid:00000000-0000-0000-0000-000000000000";

/// A domain that runs and has nothing special.
pub fn domain(name: &str, class: &str) -> Domain {
    Domain::new(name.parse().unwrap(), class)
}

/// `work` (tag `office`), `personal`, `vault` (halted, no default disposable), `hidden`
/// (internal), the disposable templates `disp-base` and `disp-net` (tag `online`), `template`,
/// the running disposable `disp1`, the remote domains `remote` (through `personal`) and `far`
/// (through nobody), and dom0.
pub fn system() -> System {
    let uuid = |text: &str| Some(text.strip_prefix("uuid:").unwrap().parse().unwrap());
    let base = || Some("disp-base".parse().unwrap());
    System::new([
        Domain {
            uuid: uuid(DOM0_UUID),
            guivm: None,
            tags: vec!["trusted".to_owned()],
            ..domain("dom0", "AdminVM")
        },
        Domain {
            uuid: uuid(WORK_UUID),
            tags: vec!["office".to_owned()],
            default_dispvm: base(),
            ..domain("work", "AppVM")
        },
        Domain {
            default_dispvm: base(),
            ..domain("personal", "AppVM")
        },
        Domain {
            power_state: "Halted".to_owned(),
            ..domain("vault", "AppVM")
        },
        Domain {
            internal: true,
            ..domain("hidden", "AppVM")
        },
        Domain {
            uuid: uuid(BASE_UUID),
            template_for_dispvms: true,
            power_state: "Halted".to_owned(),
            ..domain("disp-base", "AppVM")
        },
        Domain {
            template_for_dispvms: true,
            tags: vec!["online".to_owned()],
            power_state: "Halted".to_owned(),
            ..domain("disp-net", "AppVM")
        },
        domain("template", "TemplateVM"),
        Domain {
            default_dispvm: base(),
            ..domain("disp1", "DispVM")
        },
        domain("far", "RemoteVM"),
        Domain {
            relayvm: Some("personal".parse().unwrap()),
            transport_rpc: Some("my.Relay".to_owned()),
            ..domain("remote", "RemoteVM")
        },
    ])
}

/// A policy of one file `p`.
pub fn policy(text: &str) -> Policy {
    match Policy::from_texts([("p", text)]) {
        Ok(policy) => policy,
        Err(rejected) => panic!("{rejected}"),
    }
}

/// A call from its texts.
pub fn call(source: &str, target: &str, service: &str) -> Call {
    Call {
        source: DomainRef::parse(source).unwrap(),
        service: service.parse().unwrap(),
        target: Requested::parse(target).unwrap(),
    }
}

/// Decides the call `SOURCE TARGET` of service `s` by a policy of the given rules.
pub fn decide(rules: &str, source: &str, target: &str) -> String {
    told(policy(rules).evaluate(&system(), &call(source, target, "s")))
}

/// Files by path, in memory.
#[derive(Debug)]
pub struct Files(pub BTreeMap<String, String>);

impl Includes for Files {
    fn read(&self, path: &str) -> Result<String, Unreadable> {
        self.0.get(path).cloned().ok_or(Unreadable::Missing)
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, Unreadable> {
        let prefix = format!("{directory}/");
        let names = self.0.keys().filter_map(|path| path.strip_prefix(&prefix));
        let names: Vec<_> = names
            .filter(|n| !n.contains('/'))
            .map(str::to_owned)
            .collect();
        match names.is_empty() {
            true => Err(Unreadable::Missing),
            false => Ok(names),
        }
    }

    fn old_directory(&self) -> Option<String> {
        Some("/old".to_owned())
    }
}

/// Loads `/p/30.policy` with other files to include.
///
/// # Errors
///
/// What is wrong with it.
pub fn load(text: &str, others: &[(&str, &str)]) -> Result<Policy, Rejected> {
    let others = others
        .iter()
        .map(|(path, text)| (path.to_string(), text.to_string()));
    let file = PolicyFile {
        directory: "/p".to_owned(),
        name: "30.policy".to_owned(),
        text: text.to_owned(),
    };
    Policy::load(&[file], &Files(others.collect()))
}

/// What is wrong with a policy of one file.
pub fn errors(text: &str) -> String {
    shown(&Policy::from_texts([("p", text)]).unwrap_err())
}
