// SPDX-License-Identifier: GPL-3.0-or-later
//! The only door to Xen: event channels, grants, xenstore and xl.
