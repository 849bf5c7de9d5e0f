// SPDX-License-Identifier: GPL-3.0-or-later
//! The commands that make calls: qrexec-client in dom0, qrexec-client-vm in a guest.
#![forbid(unsafe_code)]
