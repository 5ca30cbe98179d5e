//! What the macro module needs.

use crate::{Event, Outcome};
use std::cell::RefCell;

const SMALL: usize = 32 << 10;
const LARGE: usize = 256 << 10;

thread_local! {
    /// Where the host puts frames, and finds ours. There is one thread.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub const fn array<const N: usize>(text: &str) -> [u8; N] {
    let (bytes, mut array, mut i) = (text.as_bytes(), [0; N], 0);
    while i < N {
        array[i] = bytes[i];
        i += 1;
    }
    array
}

/// The buffer is small at first. When that is not enough, it becomes as large as a frame can be where the operator has not changed
/// that, so that there is room for an answer that is longer than the question.
pub fn reserve(need: usize) -> u64 {
    let size = if need <= SMALL { SMALL } else { need.max(LARGE) };
    BUFFER.with(|buffer| {
        let mut buffer = buffer.borrow_mut();
        *buffer = Vec::new(); // the old one goes before the new one comes
        *buffer = vec![0; size];
        (buffer.as_mut_ptr() as u64) << 32 | size as u64
    })
}

pub fn run(event: u32, length: u32, handle: fn(&Event) -> Outcome) -> u64 {
    BUFFER.with(|buffer| {
        let mut buffer = buffer.borrow_mut();
        let outcome = handle(&Event::new(event, &buffer[..length as usize]));
        let frame = outcome.frame.finish();
        buffer[..frame.len()].copy_from_slice(&frame);
        (frame.len() as u64) << 32 | (outcome.flags as u64) << 8 | outcome.action as u64
    })
}
