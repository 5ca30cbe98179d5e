//! What the host can do for the module. Every function names the capability that it needs.

use crate::frame::{Event, Field, Frame};
use std::time::Duration;

mod import {
    #[link(wasm_import_module = "protoo_v1")]
    extern "C" {
        pub fn get(field: u32, key: *const u8, key_size: usize, out: *mut u8, room: usize) -> i32;
        pub fn config(out: *mut u8, room: usize) -> i32;
        pub fn progress(frame: *const u8, size: usize) -> i32;
        pub fn log(level: u32, text: *const u8, size: usize);
        pub fn clock(which: u32) -> i64;
        pub fn random(out: *mut u8, size: usize);
        pub fn peer_find(username: *const u8, username_size: usize, uuid: *const u8, uuid_size: usize) -> i32;
        pub fn peer_list(username: *const u8, username_size: usize, out: *mut u8, room: usize) -> i32;
        pub fn peer_send(frame: *const u8, size: usize) -> i32;
        pub fn peer_close(frame: *const u8, size: usize) -> i32;
        pub fn complete(token: u64, action: u32, frame: *const u8, size: usize) -> i32;
        pub fn timer(milliseconds: i64, correlation: u64, carry: *const u8, size: usize) -> i32;
        pub fn kv_get(key: *const u8, key_size: usize, out: *mut u8, room: usize) -> i32;
        pub fn kv_cas(
            key: *const u8,
            key_size: usize,
            old: *const u8,
            old_size: isize,
            new: *const u8,
            new_size: isize,
            ttl: i64,
        ) -> i32;
        pub fn kv_add(key: *const u8, key_size: usize, delta: i64, ttl: i64, sum: *mut i64) -> i32;
        pub fn metric(name: *const u8, size: usize, kind: u32, value: i64) -> i32;
    }
}

/// Why the host has not done what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such thing.
    Absent,
    /// A limit is reached.
    Limit,
    /// An argument cannot be used.
    Invalid,
}

fn check(code: i32) -> Result<i32, Refused> {
    match code {
        -1 => Err(Refused::Absent),
        -2 => Err(Refused::Limit),
        code if code < 0 => Err(Refused::Invalid),
        code => Ok(code),
    }
}

fn done(code: i32) -> Result<(), Refused> {
    check(code).map(|_| ())
}

/// Calls a function that copies a value to where there is room for it, and makes more room if need be.
fn fetch(call: impl Fn(*mut u8, usize) -> i32) -> Option<Vec<u8>> {
    let mut out = vec![0; 256];
    loop {
        let size = check(call(out.as_mut_ptr(), out.len())).ok()? as usize;
        let fits = size <= out.len();
        out.resize(size, 0);
        if fits {
            return Some(out);
        }
    }
}

/// A field of the event.
pub(crate) fn get(field: Field, key: &str) -> Option<Vec<u8>> {
    fetch(|out, room| unsafe { import::get(field as u32, key.as_ptr(), key.len(), out, room) })
}

pub(crate) fn progress(frame: &[u8]) -> Result<(), Refused> {
    done(unsafe { import::progress(frame.as_ptr(), frame.len()) })
}

pub(crate) fn peer_send(frame: &[u8]) -> Result<(), Refused> {
    done(unsafe { import::peer_send(frame.as_ptr(), frame.len()) })
}

pub(crate) fn complete(token: u64, action: u32, frame: &[u8]) -> Result<(), Refused> {
    done(unsafe { import::complete(token, action, frame.as_ptr(), frame.len()) })
}

/// The operator's settings, JSON.
pub fn config() -> Option<String> {
    fetch(|out, room| unsafe { import::config(out, room) }).and_then(|text| String::from_utf8(text).ok())
}

/// How important a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

/// Writes a line to the log of the server: log.
pub fn log(level: Level, text: &str) {
    unsafe { import::log(level as u32, text.as_ptr(), text.len()) }
}

/// The time since 1970: clock.
pub fn now() -> Duration {
    Duration::from_nanos(unsafe { import::clock(0) } as u64)
}

/// The time since the instance was made, never less than before: clock.
pub fn uptime() -> Duration {
    Duration::from_nanos(unsafe { import::clock(1) } as u64)
}

/// Fills memory with random bytes: random.
pub fn random(out: &mut [u8]) {
    unsafe { import::random(out.as_mut_ptr(), out.len()) }
}

/// Counts the peers that are online, where "" stands for any: peer.read.
pub fn peers(username: &str, uuid: &str) -> usize {
    unsafe { import::peer_find(username.as_ptr(), username.len(), uuid.as_ptr(), uuid.len()) as usize }
}

/// The peers of a user, or of everybody for "", as pairs of username and uuid, and how many there are: peer.read. The list
/// is what fits into 64 KiB.
pub fn peer_list(username: &str) -> Result<(Vec<(String, String)>, usize), Refused> {
    let mut out = vec![0; 64 << 10];
    let count =
        check(unsafe { import::peer_list(username.as_ptr(), username.len(), out.as_mut_ptr(), out.len()) })? as usize;
    let length = u32::from_le_bytes([out[0], out[1], out[2], out[3]]) as usize;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let list = Event::new(0, &out[..length]).fields().map(|(_, username, uuid)| (text(username), text(uuid))).collect();
    Ok((list, count))
}

/// Disconnects a peer when the event is over: peer.send.
pub fn disconnect(username: &str, uuid: &str, code: u32, reason: &str) -> Result<(), Refused> {
    let mut frame = Frame::new();
    frame.put(Field::Peer, username, uuid.as_bytes());
    frame.put_number(Field::Status, code);
    frame.put_reason(Field::Reason, reason);
    let frame = frame.finish();
    done(unsafe { import::peer_close(frame.as_ptr(), frame.len()) })
}

/// Asks for an event of the kind Timer: async.
pub fn timer(after: Duration, correlation: u64, carry: &[u8]) -> Result<(), Refused> {
    done(unsafe { import::timer(milliseconds(after), correlation, carry.as_ptr(), carry.len()) })
}

/// A value of the store that the module's instances share: kv.
pub fn load(key: &str) -> Option<Vec<u8>> {
    fetch(|out, room| unsafe { import::kv_get(key.as_ptr(), key.len(), out, room) })
}

/// Stores a value if the present one is old, and tells whether it was: kv. None stands for no value. It expires after ttl,
/// zero means never.
pub fn swap(key: &str, old: Option<&[u8]>, new: Option<&[u8]>, ttl: Duration) -> Result<bool, Refused> {
    let parts = |value: Option<&[u8]>| value.map_or((std::ptr::null(), -1), |v| (v.as_ptr(), v.len() as isize));
    let ((old, old_size), (new, new_size)) = (parts(old), parts(new));
    check(unsafe {
        import::kv_cas(key.as_ptr(), key.len(), old, old_size, new, new_size, milliseconds(ttl))
    })
    .map(|code| code == 1)
}

/// Adds to the number that is stored at key and returns the sum: kv. A key that is made now expires after ttl.
pub fn add(key: &str, delta: i64, ttl: Duration) -> Result<i64, Refused> {
    let mut sum = 0;
    done(unsafe { import::kv_add(key.as_ptr(), key.len(), delta, milliseconds(ttl), &mut sum) })?;
    Ok(sum)
}

/// Adds to a counter of the module: metrics.
pub fn count(name: &str, value: i64) -> Result<(), Refused> {
    done(unsafe { import::metric(name.as_ptr(), name.len(), 0, value) })
}

/// Sets a counter of the module: metrics.
pub fn gauge(name: &str, value: i64) -> Result<(), Refused> {
    done(unsafe { import::metric(name.as_ptr(), name.len(), 1, value) })
}

/// Rounds up: a time that is not zero stays so.
fn milliseconds(time: Duration) -> i64 {
    ((time.as_nanos() + 999_999) / 1_000_000) as i64
}
