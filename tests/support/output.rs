//! Output of a program, as it arrives.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use super::deadline;

/// The bytes that a stream has brought so far.
#[derive(Clone, Default)]
pub struct Output(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    ended: bool,
}

impl Output {
    /// Reads a stream to its end, in a thread.
    pub fn of(mut stream: impl Read + Send + 'static) -> Self {
        let output = Self::default();
        let filled = output.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                // A terminal reports its end by EIO. A writer may write and exit between two looks
                // of the kernel, so only an empty read after the end is the end.
                let count = stream.read(&mut buffer).or_else(|_| stream.read(&mut buffer)).unwrap_or(0);
                let (state, changed) = &*filled.0;
                let mut state = state.lock().unwrap();
                state.bytes.extend_from_slice(&buffer[..count]);
                state.ended = count == 0;
                changed.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        output
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.0.lock().unwrap().bytes.clone()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// Waits until the text is as wanted. False at its end, or after the deadline.
    pub fn wait_until(&self, wanted: impl Fn(&str) -> bool) -> bool {
        self.wait(|state| wanted(&String::from_utf8_lossy(&state.bytes)))
    }

    /// Whether the stream has ended: every writer is gone.
    pub fn has_ended(&self) -> bool {
        self.0.0.lock().unwrap().ended
    }

    fn wait(&self, wanted: impl Fn(&State) -> bool) -> bool {
        let (state, changed) = &*self.0;
        let end = deadline();
        let mut state = state.lock().unwrap();
        loop {
            if wanted(&state) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || state.ended {
                return false;
            }
            state = changed.wait_timeout(state, left).unwrap().0;
        }
    }
}
