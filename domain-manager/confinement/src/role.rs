// SPDX-License-Identifier: GPL-3.0-or-later
//! What each kind of process may still ask of the kernel.

use bulkhead_xen::{evtchn, gntdev};

/// A kind of process that faces a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Shows one guest's windows: talks on descriptors that are open, makes memory to share with
    /// the X server, and maps what it is handed.
    Windows,
    /// Reads what one guest's qrexec agent sends: talks on descriptors that are open, and does
    /// nothing else.
    Control,
}

/// What every process needs to run at all: memory, time, its end, and the descriptors it has.
const ALWAYS: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_yield,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_ppoll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
];

impl Role {
    /// System calls that are allowed whatever their arguments.
    pub(crate) fn calls(self) -> impl Iterator<Item = i64> {
        let own: &[i64] = match self {
            Self::Windows => &[
                // To take out of a channel's descriptor who is gone.
                libc::SYS_epoll_ctl,
                libc::SYS_ftruncate,
                libc::SYS_memfd_create,
                libc::SYS_pread64,
            ],
            // The same, of its one channel.
            Self::Control => &[libc::SYS_epoll_ctl],
        };
        ALWAYS.iter().chain(own).copied()
    }

    /// What may be asked of devices: to wake the peer, and to give pages back. Not to map
    /// any, nor to reach another domain.
    pub(crate) fn device_requests(self) -> [u64; 2] {
        [evtchn::NOTIFY_REQUEST, gntdev::UNMAP_REQUEST]
    }
}
