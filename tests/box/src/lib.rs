// SPDX-License-Identifier: GPL-3.0-or-later
//! A whole machine with real Xen inside QEMU.
#![forbid(unsafe_code)]
