// SPDX-License-Identifier: GPL-3.0-or-later
//! Delegated administration: Qubes' services `policy.*` in dom0 (specification of qrexec, 2.10).
//!
//! Whether a domain may call one, and with which argument, the policy itself says; the shipped one
//! lets nobody. What a caller may then do with a file, it may do with everything that file can
//! decide.
//!
//! `policy.RegisterArgument` is one more: a service that hands out arguments has calls with one of
//! them allowed to whom it was given ([`Registered`]).
//!
//! A change counts against what is live, not against a working copy, and goes live at once or not
//! at all: as a generation that names the caller as its author.

mod change;
mod refusal;
mod register;
mod request;

use std::collections::BTreeSet;

use bulkhead_policy::ServicePattern;
use bulkhead_types::Layout;

pub use refusal::Refusal;
pub use register::Registered;
pub use request::{CONTENT_MAX, File, Request, Token};

use crate::set::Set;
use change::{Edit, Machine, expect, named_by};

/// Does what a domain asks; gives what it is answered.
///
/// # Errors
///
/// Why it is refused. Then nothing was changed.
pub fn serve(layout: &Layout, caller: &str, request: &Request) -> Result<Vec<u8>, Refusal> {
    let machine = Machine::new(layout);
    match request {
        Request::List { include } => Ok(list(&machine.live()?, *include)),
        Request::Get(file) => get(&machine.live()?, file),
        Request::Replace {
            file,
            token,
            content,
        } => {
            let make = |_: &Set, before: Option<&[u8]>| {
                expect(file, token, before)?;
                Ok(Some(content.clone()))
            };
            let edit = Edit {
                service: "policy.Replace",
                make: &make,
            };
            machine.change(caller, file, &edit)?;
            Ok(Vec::new())
        }
        Request::Remove { file, token } => {
            let make = |_: &Set, before: Option<&[u8]>| {
                expect(file, token, before)?;
                Ok(None)
            };
            let edit = Edit {
                service: "policy.Remove",
                make: &make,
            };
            machine.change(caller, file, &edit)?;
            Ok(Vec::new())
        }
        Request::Register(registered) => {
            registered.serve(&machine, caller)?;
            Ok(Vec::new())
        }
        Request::GetFiles { service } => files_about(&machine.live()?, service),
    }
}

/// The names by which files can be asked for.
fn list(live: &Set, include: bool) -> Vec<u8> {
    let paths = live.files().keys();
    let names = paths.filter_map(|path| match include {
        true => path.strip_prefix("include/"),
        false => path.strip_suffix(".policy"),
    });
    let mut names: Vec<_> = names.filter(|name| !name.contains('/')).collect();
    // By name, which is not the order of paths: `.policy` comes after `-`.
    names.sort_unstable();
    let names = names.into_iter();
    names
        .flat_map(|name| format!("{name}\n").into_bytes())
        .collect()
}

fn get(live: &Set, file: &File) -> Result<Vec<u8>, Refusal> {
    let content = live.files().get(&file.path());
    let content = content.ok_or_else(|| Refusal::FileNotFound(file.clone()))?;
    let mut answer = format!("{}\n", named_by(content)).into_bytes();
    answer.extend_from_slice(content);
    Ok(answer)
}

/// The files with rules about a service, in the order of the rules.
fn files_about(live: &Set, service: &str) -> Result<Vec<u8>, Refusal> {
    let policy = live.policy();
    let policy = policy.map_err(|_| Refusal::Other("the policy has errors".to_owned()))?;
    let base = live.base().to_string_lossy();
    let mut known = BTreeSet::new();
    let mut answer = String::new();
    let about = policy.rules().filter(|rule| match &rule.service {
        ServicePattern::Any => true,
        ServicePattern::Named(name) => **name == *service,
    });
    for rule in about {
        let path = &*rule.location.file;
        let name = path
            .strip_prefix(&*base)
            .and_then(|path| path.strip_prefix('/'));
        let stem = name.filter(|name| !name.contains('/'));
        let name = stem
            .and_then(|name| name.strip_suffix(".policy"))
            .unwrap_or(path);
        if known.insert(name.to_owned()) {
            answer.push_str(&format!("{name}\n"));
        }
    }
    Ok(answer.into_bytes())
}
