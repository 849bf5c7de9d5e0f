// SPDX-License-Identifier: GPL-3.0-or-later
//! What PAM is asked before there is a session, and who answers its questions.

use std::ffi::{CStr, CString};

use pam_client2::{Context, ConversationHandler, ErrorCode, ErrorWith, Flag};
use qrexec_protocol::sanitize::for_log;
use thiserror::Error;

/// The name of the configuration.
pub const SERVICE: &str = "qrexec";

/// PAM has refused.
#[derive(Debug, Error)]
#[error("PAM refused {step}: {reason}")]
pub struct Refused {
    step: &'static str,
    reason: String,
}

impl Refused {
    pub fn new<T>(step: &'static str, error: &ErrorWith<T>) -> Self {
        let message = error.message().unwrap_or("no reason given");
        let reason = format!("{message} ({:?})", error.code());
        Self { step, reason }
    }
}

/// Asks whether the user is who it is to be, and may do anything now.
pub fn admit(context: &mut Context<Nobody>) -> Result<(), Refused> {
    context
        .authenticate(Flag::NONE)
        .map_err(|error| Refused::new("the user", &error))?;
    context
        .acct_mgmt(Flag::NONE)
        .map_err(|error| Refused::new("the account", &error))
}

/// Nobody is there to be asked: policy in dom0 has decided. Every answer is empty; what a module has to
/// say goes to the log.
#[derive(Debug)]
pub struct Nobody;

impl ConversationHandler for Nobody {
    fn prompt_echo_on(&mut self, _: &CStr) -> Result<CString, ErrorCode> {
        Ok(CString::default())
    }

    fn prompt_echo_off(&mut self, _: &CStr) -> Result<CString, ErrorCode> {
        Ok(CString::default())
    }

    fn text_info(&mut self, text: &CStr) {
        tracing::info!("PAM says: {}", for_log(text.to_bytes(), 300));
    }

    fn error_msg(&mut self, text: &CStr) {
        tracing::warn!("PAM says: {}", for_log(text.to_bytes(), 300));
    }
}
