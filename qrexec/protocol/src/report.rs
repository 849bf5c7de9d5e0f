// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a qrexec daemon tells the policy daemon when a call that was allowed is over.
//!
//! It goes to the socket for questions, as lines `key=value` and an empty line; there is no answer. Only
//! a policy daemon whose answer had a `record` is told, so others never see what they do not know.
//! All times are in microseconds since the request came. What a daemon in dom0 does not see, such as the
//! first byte between two domains, is missing.

use std::time::Duration;

use bulkhead_types::DomainName;

/// The most characters that say how a call ended.
pub const END_MAX: usize = 200;

/// The end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The number of the decision.
    pub record: u64,
    /// The domain that called: nobody tells of the calls of another.
    pub source: DomainName,
    /// When policy had answered.
    pub policy: Duration,
    /// When the service's place had taken the call.
    pub start: Option<Duration>,
    /// When caller and service had met.
    pub connect: Option<Duration>,
    /// When the service had said something.
    pub first_byte: Option<Duration>,
    /// When it was over.
    pub end: Duration,
    /// Bytes to the service, where they passed dom0.
    pub sent: Option<u64>,
    /// Bytes from the service, where they passed dom0.
    pub received: Option<u64>,
    /// How it ended, in a few words.
    pub how: String,
}

impl Report {
    /// That of a call of which nothing is known yet but who calls.
    pub fn begun(record: u64, source: DomainName) -> Self {
        Self {
            record,
            source,
            policy: Duration::ZERO,
            start: None,
            connect: None,
            first_byte: None,
            end: Duration::ZERO,
            sent: None,
            received: None,
            how: String::new(),
        }
    }

    /// The bytes to send.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("record={}\nsource={}\n", self.record, self.source);
        let stages = [
            ("policy_us", Some(self.policy)),
            ("start_us", self.start),
            ("connect_us", self.connect),
            ("first_byte_us", self.first_byte),
            ("end_us", Some(self.end)),
        ];
        for (key, time) in stages {
            if let Some(time) = time {
                text.push_str(&format!("{key}={}\n", time.as_micros()));
            }
        }
        for (key, bytes) in [("sent", self.sent), ("received", self.received)] {
            if let Some(bytes) = bytes {
                text.push_str(&format!("{key}={bytes}\n"));
            }
        }
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        let how: String = self.how.chars().take(END_MAX).map(clean).collect();
        text.push_str(&format!("how={how}\n\n"));
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_lines_of_text() {
        let report = Report {
            record: 7,
            source: "work".parse().unwrap(),
            policy: Duration::from_micros(60),
            start: Some(Duration::from_millis(2)),
            connect: None,
            first_byte: None,
            end: Duration::from_secs(3),
            sent: Some(5),
            received: None,
            how: "exit code 0\nrecord=8".to_owned(),
        };
        let text = String::from_utf8(report.encode()).unwrap();
        assert_eq!(
            text,
            "record=7\nsource=work\npolicy_us=60\nstart_us=2000\nend_us=3000000\nsent=5\nhow=exit code 0 record=8\n\n"
        );
    }
}
