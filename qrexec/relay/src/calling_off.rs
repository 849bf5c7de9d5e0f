// SPDX-License-Identifier: GPL-3.0-or-later
//! Telling a call that its other side is not going to come, or that it has to end.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::sync::Arc;

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{MsgFlags, recv};
use qrexec_protocol::agent_socket::ENDED;

/// What is added to the counter when the call has to end; it is called off less often than that.
const END: u64 = 1 << 32;

/// Shared by a call's thread and whoever learns of its caller.
#[derive(Clone, Debug)]
pub struct CallingOff(Arc<EventFd>);

impl CallingOff {
    /// A call that has not been called off.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self(Arc::new(EventFd::from_flags(flags)?)))
    }

    /// Readable from the time that the call has been called off, or has to end.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The caller is not going to come. A call that has met it does not mind.
    pub fn call_off(&self) {
        // A counter that is full was raised before.
        let _ = self.0.write(1);
    }

    /// The call has to end, whether it has met its caller or not.
    pub fn end(&self) {
        let _ = self.0.write(END);
    }
}

/// Where one end of a call hears from whoever arranged it.
#[derive(Clone, Copy, Debug)]
pub enum Orders<'a> {
    /// Nowhere.
    None,
    /// From another thread.
    Thread(&'a CallingOff),
    /// From another process, in the words `ALONE` and `ENDED` of the protocol. The end of the stream means the first.
    Stream(BorrowedFd<'a>),
}

/// What is heard there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Nothing.
    Nothing,
    /// The other side is not going to come, if it has not.
    Alone,
    /// The call has to end.
    End,
}

impl<'a> Orders<'a> {
    /// Readable when there is something to be heard.
    pub fn fd(self) -> Option<BorrowedFd<'a>> {
        match self {
            Self::None => None,
            Self::Thread(calling_off) => Some(calling_off.fd()),
            Self::Stream(stream) => Some(stream),
        }
    }

    /// Hears what there is to be heard; it is not heard again. Where nothing can follow, nothing is waited for
    /// any more.
    pub fn hear(&mut self) -> Word {
        match self {
            Self::None => Word::Nothing,
            Self::Thread(calling_off) => match calling_off.0.read() {
                Ok(END..) => Word::End,
                Ok(_) => Word::Alone,
                Err(_) => Word::Nothing,
            },
            Self::Stream(stream) => {
                let mut bytes = [0; 16];
                let heard = recv(stream.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT);
                match heard {
                    // The beginning may have been taken for what came before it.
                    Ok(len @ 1..) if bytes[..len].last() == ENDED.last() => Word::End,
                    Ok(1..) => Word::Alone,
                    Err(nix::Error::EAGAIN | nix::Error::EINTR) => Word::Nothing,
                    Ok(0) | Err(_) => {
                        *self = Self::None;
                        Word::Alone
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;

    use qrexec_protocol::agent_socket::ALONE;

    use super::*;

    #[test]
    fn a_call_that_was_called_off_can_still_be_ended() {
        let calling_off = CallingOff::new().unwrap();
        let mut orders = Orders::Thread(&calling_off);
        assert_eq!(orders.hear(), Word::Nothing);
        calling_off.call_off();
        assert_eq!(orders.hear(), Word::Alone);
        calling_off.call_off();
        calling_off.end();
        assert_eq!(orders.hear(), Word::End);
    }

    #[test]
    fn a_word_ends_a_call_and_the_end_of_the_stream_does_not() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut orders = Orders::Stream(theirs.as_fd());
        assert_eq!(orders.hear(), Word::Nothing);
        for (words, heard) in [
            (&[&ALONE[..]][..], Word::Alone),
            (&[&ALONE[4..]], Word::Alone),
            (&[ENDED], Word::End),
            (&[&ENDED[4..]], Word::End),
            (&[ALONE, ENDED], Word::End),
        ] {
            ours.write_all(&words.concat()).unwrap();
            assert_eq!(orders.hear(), heard, "{words:?}");
        }
        ours.shutdown(Shutdown::Write).unwrap();
        assert!(orders.fd().is_some());
        assert_eq!(orders.hear(), Word::Alone);
        assert!(orders.fd().is_none(), "nothing more is waited for");
    }
}
