// SPDX-License-Identifier: MIT OR Apache-2.0
//! The policy language: parser, resolver, evaluator and diagnostics, without I/O.
#![forbid(unsafe_code)]
