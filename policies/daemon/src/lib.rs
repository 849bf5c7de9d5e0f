// SPDX-License-Identifier: GPL-3.0-or-later
//! The policy daemon: decides calls and keeps the ledger.
//!
//! The library holds what the command line shares with the daemon: [`load_policy`] reads
//! policy directories, [`render`] shows what is wrong with one, [`Status`] is what the daemon
//! says of itself.
//!
//! Eight sockets are in play. On the policy socket, qrexec daemons ask one question per
//! connection (specification of qrexec, 2.8), and tell how a call ended. On the socket of calls
//! they say which calls run, and are told which have to end. On the control socket root gives
//! grants and listens to decisions ([`control`]). On the status socket, who connects is told a
//! [`Status`] as JSON. The domain manager's internal socket is watched for the state of the
//! domains, so that no decision has to wait for a question of ours. What a rule leaves to the
//! user goes to the agent's socket, where the program of the user's session listens. Two are services
//! by which domains ask about calls, if policy lets them ([`evaluation`]).
//!
//! Trusts the files below the policy directories, whose owner is root, and the domain
//! manager on its internal socket. The texts in a question come from guests by way of their
//! qrexec daemons and are checked again.
//!
//! Invariants:
//! - whatever cannot be decided or recorded is refused;
//! - a policy that does not parse never becomes live, the last good one stays; without any
//!   good one everything is refused;
//! - no answer leaves before its record is in the ledger;
//! - without the domain manager's word on the domains, everything is refused;
//! - while the user thinks about one question, every other is answered;
//! - without an agreement of the user to what was shown, `ask` is a refusal; an answer that is
//!   kept ends with the run of the source, and counts for the same question only.
#![forbid(unsafe_code)]

mod administer;
mod announcer;
mod answering;
mod book;
mod calls;
mod clock;
pub mod control;
mod decide;
pub mod evaluation;
mod flood;
mod grants;
mod live;
mod load;
mod old_style;
mod own_calls;
mod prepare;
mod prompts;
mod quota;
mod reload;
mod render;
pub mod report;
mod serve;
mod settings;
mod signed;
mod socket;
mod state;
mod status;
mod system;
mod tellers;
mod under_way;
pub mod wire;

pub use decide::{Decision, decide};
pub use grants::{GrantRequest, GrantState, LONGEST as LONGEST_GRANT, NotGranted};
pub use live::{Live, load_live};
pub use load::{Directory, Disk, bad_name, load_files, load_policy, load_policy_beside, parse};
pub use old_style::{load_old_files, old_style, written_files};
pub use prompts::KeptState;
pub use quota::{QUESTIONS, Quota, QuotaReached, Usage};
pub use render::render;
pub use serve::{ServeError, run};
pub use settings::{GenerationSettings, LedgerSettings, QuotaFile, Settings, SettingsError};
pub use status::{PolicyStatus, Status, status_socket};
