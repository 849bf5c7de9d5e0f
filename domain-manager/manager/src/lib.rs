// SPDX-License-Identifier: GPL-3.0-or-later
//! The domain manager: model, life cycle and Admin API.
#![forbid(unsafe_code)]

pub mod failure;
pub mod life;
pub mod model;
pub mod settings;
pub mod store;
