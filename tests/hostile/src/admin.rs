// SPDX-License-Identifier: GPL-3.0-or-later
//! The Admin API, which domains reach by way of qrexec.

use bulkhead_admin::{Reply, Request};

/// What is read as a request is written as the same bytes' meaning.
pub fn request(data: &[u8]) {
    if let Ok(request) = Request::decode(data) {
        assert_eq!(Request::decode(&request.encode()), Ok(request));
    }
}

/// A reply keeps its content; an exception keeps its kind.
pub fn reply(data: &[u8]) {
    match Reply::decode(data) {
        Ok(reply @ Reply::Ok(_)) => assert_eq!(Reply::decode(&reply.encode()), Ok(reply)),
        Ok(Reply::Exception(exception)) => {
            let again = Reply::decode(&Reply::Exception(exception.clone()).encode());
            let Ok(Reply::Exception(again)) = again else {
                panic!("{exception:?} came back as {again:?}");
            };
            assert_eq!(again.kind, exception.kind);
        }
        Err(_) => {}
    }
}
