// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where everything lies: each path has its one definition here.
//!
//! All of it hangs below one root, which is `/` on a real machine. Programs take the
//! root from the environment variable `BULKHEAD_ROOT`; tests give each fixture its own.

use std::path::{Path, PathBuf};

use crate::{DomId, DomainName};

/// The places of one installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The environment variable that moves an installation below another root.
    pub const ROOT_VARIABLE: &'static str = "BULKHEAD_ROOT";

    /// An installation below `root`.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The root that everything hangs below.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Configuration: `/etc/bulkhead`.
    pub fn configuration(&self) -> PathBuf {
        self.root.join("etc/bulkhead")
    }

    /// The settings of the domain manager: `/etc/bulkhead/bulkhead.toml`.
    pub fn settings_file(&self) -> PathBuf {
        self.configuration().join("bulkhead.toml")
    }

    /// Policy directories, highest priority first: a file in an earlier one replaces the
    /// file of the same name in a later one.
    pub fn policy_dirs(&self) -> [PathBuf; 2] {
        [
            self.runtime().join("policy.d"),
            self.configuration().join("policy.d"),
        ]
    }

    /// The public keys of those who sign for policy files: `/etc/bulkhead/policy-keys`.
    pub fn policy_keys(&self) -> PathBuf {
        self.configuration().join("policy-keys")
    }

    /// Whole sets of policy files, one of them live: `/var/lib/bulkhead/policy`.
    pub fn policy_generations(&self) -> PathBuf {
        self.state().join("policy")
    }

    /// Where policy files of the older form lie: `/etc/qubes-rpc/policy`.
    pub fn old_policy_dir(&self) -> PathBuf {
        self.root.join("etc/qubes-rpc/policy")
    }

    /// Lasting state: `/var/lib/bulkhead`.
    pub fn state(&self) -> PathBuf {
        self.root.join("var/lib/bulkhead")
    }

    /// The domain manager's database.
    pub fn database(&self) -> PathBuf {
        self.state().join("state.sqlite")
    }

    /// The default storage pool.
    pub fn pool(&self) -> PathBuf {
        self.state().join("pool")
    }

    /// Where templates' kernels, ramdisks and images arrive, one folder each.
    pub fn templates(&self) -> PathBuf {
        self.state().join("templates")
    }

    /// The record of policy decisions.
    pub fn ledger(&self) -> PathBuf {
        self.state().join("ledger")
    }

    /// The private key that seals the ledger, for the policy daemon alone.
    pub fn seal_key(&self) -> PathBuf {
        self.state().join("policyd/seal.key")
    }

    /// Logs: `/var/log/bulkhead`.
    pub fn logs(&self) -> PathBuf {
        self.root.join("var/log/bulkhead")
    }

    /// Run-time files, gone after a reboot: `/run/bulkhead`.
    pub fn runtime(&self) -> PathBuf {
        self.root.join("run/bulkhead")
    }

    /// The Admin API's socket.
    pub fn admin_socket(&self) -> PathBuf {
        self.runtime().join("admin.sock")
    }

    /// The domain manager's socket for its fellow daemons.
    pub fn internal_socket(&self) -> PathBuf {
        self.runtime().join("internal.sock")
    }

    /// The policy daemon's socket.
    pub fn policy_socket(&self) -> PathBuf {
        self.runtime().join("policy.sock")
    }

    /// Where the policy daemon is told of calls that it has allowed, and says which have to end.
    pub fn policy_calls_socket(&self) -> PathBuf {
        self.runtime().join("policy-calls.sock")
    }

    /// Where the policy daemon answers one of the services by which domains ask about calls.
    pub fn policy_evaluation_socket(&self, service: &str) -> PathBuf {
        self.runtime().join(format!("{service}.sock"))
    }

    /// Where the policy daemon is administered.
    pub fn policy_control_socket(&self) -> PathBuf {
        self.runtime().join("policy-control.sock")
    }

    /// Where the program that puts questions to the user listens for the policy daemon: in a directory
    /// that belongs to those whose session answers.
    pub fn policy_agent_socket(&self) -> PathBuf {
        self.runtime().join("session/policy-agent.sock")
    }

    /// Where the qrexec daemons' sockets stand.
    pub fn qrexec_dir(&self) -> PathBuf {
        self.runtime().join("qrexec")
    }

    /// The socket on which a domain's qrexec daemon takes calls, by domain id.
    pub fn qrexec_socket(&self, domain: DomId) -> PathBuf {
        self.qrexec_dir().join(format!("qrexec.{domain}"))
    }

    /// The link by name to [`Self::qrexec_socket`].
    pub fn qrexec_link(&self, domain: &DomainName) -> PathBuf {
        self.qrexec_dir().join(format!("qrexec.{domain}"))
    }

    /// Where domains of the local back end meet to open vchans and share pages.
    pub fn local_vchan_dir(&self) -> PathBuf {
        self.runtime().join("vchan")
    }

    /// What the local back end keeps for a running domain.
    pub fn local_guest_dir(&self, domain: &DomainName) -> PathBuf {
        self.runtime().join("guests").join(domain.as_str())
    }
}
