// SPDX-License-Identifier: GPL-3.0-or-later
//! From a recipe to a template image.
#![forbid(unsafe_code)]
