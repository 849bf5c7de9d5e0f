// SPDX-License-Identifier: GPL-3.0-or-later
//! What the policy daemon and the program that asks the user say to each other.

use policy_agent_protocol::{Answer, Lasting, Request};

/// A request that is one is written as ASCII and read back as it was, and its texts hold
/// nothing that a dialog could take for something else.
pub fn request(data: &[u8]) {
    let Ok(request) = Request::decode(data) else {
        return;
    };
    let bytes = request.encode();
    assert!(bytes.is_ascii());
    assert_eq!(Request::decode(&bytes).unwrap(), request);
    let (service, argument) = match &request {
        Request::Ask(ask) => {
            assert!(!ask.targets.is_empty());
            let mut default = ask.default_target.iter();
            assert!(default.all(|choice| ask.targets.contains(choice)));
            (&ask.service, &ask.argument)
        }
        Request::Notify(notify) => (&notify.service, &notify.argument),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.+".contains(c);
    assert!(service.chars().all(plain) && argument.chars().all(plain));
}

/// An answer is read in one way only.
pub fn answer(data: &[u8]) {
    for offered in [&Lasting::ALL[..], &[]] {
        if let Ok(answer) = Answer::decode(data, offered) {
            assert_eq!(answer.encode(), data);
        }
    }
}
