// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C library `libvchan`: programs written for Qubes' vchan run over our transports.
//!
//! `libvchan.so` has the functions, the opaque type and the states of Qubes' library (see
//! `libvchan.h`). The environment chooses the transport, as for every program of ours
//! ([`bulkhead_vchan::Endpoints::from_environment`]).
//!
//! A C interface cannot be written without unsafe code. This crate lies in the folder of
//! `bulkhead-vchan`, inside the same fence, and all of its unsafe code is about the pointers that C
//! hands over; [`channel`] has none.
//!
//! Rules, where names do not say them:
//!
//! - `write` and `read` wait until at least one byte has moved; `send` and `recv` until all have.
//!   What is more than the ring can hold makes `send` and `recv` fail at once.
//! - `wait` returns after a wake-up, and at once when the peer has left. `fd_for_select` gives a
//!   descriptor that is readable when `wait` would not wait.
//! - `client_init` waits for its server without end. `client_init_async` does so in the background and
//!   `client_init_async_finish` tells how far that is.
//! - What a peer sent before it left can still be read; after that `read` fails.
//!
//! **Trusts** the program that it is loaded into: pointers must be what they are said to be, one
//! thread at a time may use a channel, and nobody may use it after `close`.

pub mod channel;

use std::ffi::{c_int, c_void};
use std::os::fd::AsRawFd;

use bulkhead_types::{DomId, Port};
use bulkhead_vchan::State;

use crate::channel::{Channel, Progress};

/// A channel, as C holds it.
pub struct Libvchan(Channel);

const FAILED: c_int = -1;

fn peer(domain: c_int, port: c_int) -> Option<(DomId, Port)> {
    let domain = DomId::new(u32::try_from(domain).ok()?).ok()?;
    Some((domain, Port(u32::try_from(port).ok()?)))
}

/// Gives a channel to C, which gives it back to [`libvchan_close`].
fn give(channel: Option<Channel>) -> *mut Libvchan {
    channel.map_or(std::ptr::null_mut(), |channel| {
        Box::into_raw(Box::new(Libvchan(channel)))
    })
}

/// # Safety
///
/// `ctrl` is null, or came from [`give`] and was not closed; nobody else uses it meanwhile.
unsafe fn take<'a>(ctrl: *mut Libvchan) -> Option<&'a mut Channel> {
    // SAFETY: the caller's promise.
    unsafe { ctrl.as_mut() }.map(|ctrl| &mut ctrl.0)
}

fn count(result: Option<usize>) -> c_int {
    result
        .and_then(|count| c_int::try_from(count).ok())
        .unwrap_or(FAILED)
}

/// The most that one call moves, so that the count fits into C's `int`.
fn cut(size: usize) -> usize {
    size.min(c_int::MAX as usize)
}

/// Announces a channel for `domain`. Null on failure.
#[unsafe(no_mangle)]
pub extern "C" fn libvchan_server_init(
    domain: c_int,
    port: c_int,
    read_min: usize,
    write_min: usize,
) -> *mut Libvchan {
    let serve = || {
        let (domain, port) = peer(domain, port)?;
        Channel::serve(domain, port, read_min, write_min)
    };
    give(serve())
}

/// Connects to a channel of `domain`, waiting for it without end. Null on failure.
#[unsafe(no_mangle)]
pub extern "C" fn libvchan_client_init(domain: c_int, port: c_int) -> *mut Libvchan {
    let connect = || {
        let (domain, port) = peer(domain, port)?;
        let mut channel = Channel::connect(domain, port)?;
        (channel.progress(true) == Progress::Connected).then_some(channel)
    };
    give(connect())
}

/// Begins to connect. `watch_fd` gets a descriptor that is readable when
/// [`libvchan_client_init_async_finish`] has news.
///
/// # Safety
///
/// `watch_fd` points to an `int` that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn libvchan_client_init_async(
    domain: c_int,
    port: c_int,
    watch_fd: *mut c_int,
) -> *mut Libvchan {
    let begin = || {
        let (domain, port) = peer(domain, port)?;
        Channel::connect(domain, port)
    };
    let channel = begin();
    if let Some(channel) = &channel
        && !watch_fd.is_null()
    {
        // SAFETY: not null, and the caller promises the rest.
        unsafe { watch_fd.write(channel.fd().as_raw_fd()) };
    }
    give(channel)
}

/// Tells whether the connection is there: 0, or 1 for not yet, or −1.
///
/// # Safety
///
/// `ctrl` is a channel that is not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn libvchan_client_init_async_finish(
    ctrl: *mut Libvchan,
    blocking: bool,
) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { take(ctrl) }.map(|channel| channel.progress(blocking)) {
        Some(Progress::Connected) => 0,
        Some(Progress::Pending) => 1,
        _ => FAILED,
    }
}

/// Writes at least one byte. Returns how many, or −1.
///
/// # Safety
///
/// `ctrl` is a channel that is not closed; `data` points to `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn libvchan_write(
    ctrl: *mut Libvchan,
    data: *const c_void,
    size: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    let (channel, bytes) = unsafe { (take(ctrl), given(data, size)) };
    count(
        channel
            .zip(bytes)
            .and_then(|(channel, bytes)| channel.write(bytes)),
    )
}

/// Writes all bytes. Returns how many, or −1, also when they are more than the ring can hold.
///
/// # Safety
///
/// As for [`libvchan_write`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn libvchan_send(
    ctrl: *mut Libvchan,
    data: *const c_void,
    size: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    let (channel, bytes) = unsafe { (take(ctrl), given(data, size)) };
    count(
        channel
            .zip(bytes)
            .and_then(|(channel, bytes)| channel.send(bytes)),
    )
}

/// Reads at least one byte. Returns how many, or −1.
///
/// # Safety
///
/// `ctrl` is a channel that is not closed; `data` points to `size` bytes that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn libvchan_read(
    ctrl: *mut Libvchan,
    data: *mut c_void,
    size: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    let (channel, buffer) = unsafe { (take(ctrl), room(data, size)) };
    count(
        channel
            .zip(buffer)
            .and_then(|(channel, buffer)| channel.read(buffer)),
    )
}

/// Fills the buffer. Returns its size, or −1, also when it is larger than the ring.
///
/// # Safety
///
/// As for [`libvchan_read`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn libvchan_recv(
    ctrl: *mut Libvchan,
    data: *mut c_void,
    size: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    let (channel, buffer) = unsafe { (take(ctrl), room(data, size)) };
    count(
        channel
            .zip(buffer)
            .and_then(|(channel, buffer)| channel.receive(buffer)),
    )
}

/// Waits for a wake-up: 0, or −1.
///
/// # Safety
///
/// `ctrl` is a channel that is not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn libvchan_wait(ctrl: *mut Libvchan) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { take(ctrl) }.and_then(Channel::wait) {
        Some(()) => 0,
        None => FAILED,
    }
}

/// Closes a channel; null is none.
///
/// # Safety
///
/// `ctrl` is null or a channel that is not closed; it must not be used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn libvchan_close(ctrl: *mut Libvchan) {
    if !ctrl.is_null() {
        // SAFETY: it came from `give`, and the caller promises that it was not closed yet.
        drop(unsafe { Box::from_raw(ctrl) });
    }
}

/// The descriptor to poll for input, or −1. It belongs to the channel.
///
/// # Safety
///
/// `ctrl` is a channel that is not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn libvchan_fd_for_select(ctrl: *mut Libvchan) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { take(ctrl) }.map_or(FAILED, |channel| channel.fd().as_raw_fd())
}

/// How the channel stands: 0 disconnected, 1 connected, 2 a server that waits for its client.
///
/// # Safety
///
/// `ctrl` is a channel that is not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn libvchan_is_open(ctrl: *mut Libvchan) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { take(ctrl) }.and_then(Channel::state) {
        Some(State::Connected) => 1,
        Some(State::Waiting) => 2,
        Some(State::Closed) | None => 0,
    }
}

/// How many bytes wait to be read, or −1.
///
/// # Safety
///
/// `ctrl` is a channel that is not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn libvchan_data_ready(ctrl: *mut Libvchan) -> c_int {
    // SAFETY: the caller's promise.
    count(unsafe { take(ctrl) }.and_then(Channel::readable))
}

/// How many bytes can be written without waiting, or −1.
///
/// # Safety
///
/// `ctrl` is a channel that is not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn libvchan_buffer_space(ctrl: *mut Libvchan) -> c_int {
    // SAFETY: the caller's promise.
    count(unsafe { take(ctrl) }.and_then(Channel::writable))
}

/// # Safety
///
/// `data` points to `size` bytes, or `size` is 0.
unsafe fn given<'a>(data: *const c_void, size: usize) -> Option<&'a [u8]> {
    match size {
        0 => Some(&[]),
        _ if data.is_null() => None,
        // SAFETY: not null, and the caller promises the length.
        _ => Some(unsafe { std::slice::from_raw_parts(data.cast(), cut(size)) }),
    }
}

/// # Safety
///
/// `data` points to `size` bytes that nobody else uses meanwhile, or `size` is 0. They may be
/// uninitialised: they are only written.
unsafe fn room<'a>(data: *mut c_void, size: usize) -> Option<&'a mut [u8]> {
    match size {
        0 => Some(&mut []),
        _ if data.is_null() => None,
        _ => {
            let size = cut(size);
            // SAFETY: the caller promises room for these bytes; zeroes make them initialised.
            unsafe {
                data.cast::<u8>().write_bytes(0, size);
                Some(std::slice::from_raw_parts_mut(data.cast(), size))
            }
        }
    }
}
