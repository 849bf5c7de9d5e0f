// SPDX-License-Identifier: GPL-3.0-or-later
//! The list of system calls, enforced by seccomp. What is not on it fails with `EPERM`: a
//! process that was not taken over and meets a call that was forgotten says so and goes on.

use std::collections::BTreeMap;

use nix::errno::Errno;
use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use crate::{ConfineError, Role};

/// What may be done with a descriptor that is open. Not: who gets its signals.
const FCNTL: [i32; 6] = [
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_DUPFD_CLOEXEC,
    libc::F_ADD_SEALS,
];

/// Enforces the list of a role, on every thread.
pub(crate) fn restrict(role: Role) -> Result<(), ConfineError> {
    let program = program(role).map_err(|error| ConfineError::Seccomp(Error::Backend(error)))?;
    seccompiler::apply_filter_all_threads(&program).map_err(ConfineError::Seccomp)
}

fn program(role: Role) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        role.calls().map(|call| (call, Vec::new())).collect();
    let fcntl = FCNTL.map(|command| only(1, command as u64));
    rules.insert(libc::SYS_fcntl, all(fcntl)?);
    rules.insert(
        libc::SYS_ioctl,
        all(role.device_requests().map(|n| only(1, n)))?,
    );
    // Memory is written or run, and what runs is there already.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, all([without(2, libc::PROT_EXEC as u64)])?);
    }
    // A signal for itself is how a process that finds itself broken ends.
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_tgkill, all([only(0, own)])?);
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(
        rules,
        SeccompAction::Errno(Errno::EPERM as u32),
        SeccompAction::Allow,
        arch,
    )?
    .try_into()
}

type Condition = Result<SeccompCondition, BackendError>;

/// One rule for each condition; any of them allows the call.
fn all<const N: usize>(conditions: [Condition; N]) -> Result<Vec<SeccompRule>, BackendError> {
    let rule = |condition: Condition| SeccompRule::new(vec![condition?]);
    conditions.into_iter().map(rule).collect()
}

fn only(argument: u8, value: u64) -> Condition {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn without(argument: u8, bits: u64) -> Condition {
    let masked = SeccompCmpOp::MaskedEq(bits);
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, masked, 0)
}
