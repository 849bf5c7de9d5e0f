// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the methods of our own answer, as JSON.
//!
//! Their names begin with `bulkhead.`, so that clients of the specification never meet them.
//! A field is only ever added; a reader skips what it does not know.

use serde::{Deserialize, Serialize};

/// `bulkhead.domain.List`: every domain (or the one that is the destination) with what a
/// person wants to see of it, in one answer. An array of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainSummary {
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub uuid: String,
    /// `AdminVM`, `TemplateVM`, `AppVM`, `DispVM` or `RemoteVM`.
    pub class: String,
    /// Its power state in the words of the specification, such as `Running`.
    pub state: String,
    /// The name of its label.
    pub label: String,
    /// What it is based on.
    pub template: Option<String>,
    /// The memory it runs or would run with, in MiB; none for dom0.
    pub memory: Option<u64>,
    /// Virtual processors; none for dom0.
    pub vcpus: Option<u64>,
    /// The number of its guest, while it runs.
    pub domid: Option<u16>,
    /// Whether disposables may be based on it.
    pub template_for_dispvms: bool,
    /// What its own disposables are based on.
    pub default_dispvm: Option<String>,
    /// Who asked for it.
    pub created_by: Option<String>,
    /// The user who runs programs in it.
    pub default_user: Option<String>,
}

/// `bulkhead.domain.StartReport`: where the time of a domain's last start went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartReport {
    /// The stages that were completed, in order.
    pub stages: Vec<StageTime>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// One stage of a start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTime {
    /// `storage`, `create`, `release` (its daemons are started and the guest is let go) or
    /// `agent` (the guest boots until its agent answers).
    pub stage: String,
    /// How long it took, in microseconds.
    pub microseconds: u64,
}

/// `bulkhead.Status`: how the domain manager is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the domain manager.
    pub version: String,
    /// `xen` or `local`.
    pub backend: String,
    /// What a user has to know before relying on the back end.
    pub warning: Option<String>,
    /// The pool's folder.
    pub pool: String,
    /// What a program needs in its environment to reach guests.
    pub environment: Vec<(String, String)>,
    /// The display for guests' windows, if there is one.
    pub display: Option<String>,
    /// Domains there are, dom0 not counted.
    pub domains: usize,
    /// Those of them that run.
    pub running: usize,
    /// Records of the database that make no sense, for people.
    pub damaged: Vec<String>,
}

/// `bulkhead.template.Install+NAME`: where a built template lies. Sent as the payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateSource {
    /// The folder with `root.img`, `vmlinuz`, `initrd.img` and `manifest.json`.
    pub directory: String,
    /// The label; without one the default.
    pub label: Option<String>,
}
