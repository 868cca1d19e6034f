//! Roles that receive or raise signals.

use std::collections::BTreeMap;
use std::mem::{size_of, zeroed};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::unistd::{ForkResult, Pid, fork, setpgid};

use crate::protocol::Report;
use crate::say;

pub(crate) const ALL: u64 = u64::MAX;

/// rt_sigprocmask(2) on all 64 signals, which the C libraries' calls don't reach.
pub(crate) fn set_mask(mask: u64) {
    let none = ptr::null::<u8>();
    // SAFETY: reads eight bytes.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, none, size_of::<u64>())
    };
}

/// Waits for the next signal of a set, whose signals are blocked, until a deadline.
fn next_before(set: u64, end: Instant) -> Option<i32> {
    loop {
        let left = end.saturating_duration_since(Instant::now());
        // Checked here, since each report may raise SIGPIPE.
        if left.is_zero() {
            return None;
        }
        let timeout = libc::timespec {
            tv_sec: left.as_secs().try_into().unwrap(),
            tv_nsec: left.subsec_nanos().into(),
        };
        let none = ptr::null::<u8>();
        // SAFETY: reads eight bytes and the timeout; returns no siginfo.
        let number = unsafe {
            libc::syscall(
                libc::SYS_rt_sigtimedwait,
                &raw const set,
                none,
                &raw const timeout,
                size_of::<u64>(),
            )
        };
        if number > 0 {
            return i32::try_from(number).ok();
        }
    }
}

/// Waits for the next signal of a set, whose signals are blocked.
pub(crate) fn next(set: u64) -> i32 {
    loop {
        let none = ptr::null::<u8>();
        // SAFETY: reads eight bytes; has neither siginfo nor timeout.
        let number =
            unsafe { libc::syscall(libc::SYS_rt_sigtimedwait, &raw const set, none, none, size_of::<u64>()) };
        if number > 0 {
            return i32::try_from(number).unwrap();
        }
    }
}

/// Sends a signal, of the 64, to a child.
pub(crate) fn send(child: Pid, number: i32) {
    // SAFETY: touches no memory.
    unsafe { libc::kill(child.as_raw(), number) };
}

/// Reports each signal, until the last one.
pub(crate) fn record(last: i32) -> i32 {
    set_mask(ALL);
    say(Report::Ready);
    loop {
        let number = next(ALL);
        say(Report::Got(number));
        if number == last {
            return 42;
        }
    }
}

static LAST: AtomicI32 = AtomicI32::new(0);

/// Reports each signal from a handler, with the inherited mask, until the last one.
pub(crate) fn catch(last: i32) -> i32 {
    extern "C" fn report(number: libc::c_int) {
        let line = format!("{}\n", Report::Got(number));
        // SAFETY: reads that many bytes of the line.
        unsafe { libc::write(libc::STDOUT_FILENO, line.as_ptr().cast(), line.len()) };
        if number == LAST.load(Ordering::Relaxed) {
            // SAFETY: ends this process and nothing else.
            unsafe { libc::_exit(42) };
        }
    }
    LAST.store(last, Ordering::Relaxed);
    let handler: extern "C" fn(libc::c_int) = report;
    (1..=64)
        .filter(|&number| number != libc::SIGCHLD)
        .for_each(|number| set_handler(number, handler as usize));
    say(Report::Ready);
    loop {
        nix::unistd::pause();
    }
}

/// Counts signals. Prints the counts on `report`, and starts again.
///
/// `report` is higher than the others: the kernel delivers the lowest pending signal first (signal(7)).
pub(crate) fn count(report: i32) -> i32 {
    set_mask(ALL);
    say(Report::Ready);
    let mut counts = BTreeMap::new();
    loop {
        let number = next(ALL);
        if number == report {
            let pairs: Vec<String> =
                counts.iter().map(|(number, count)| format!("{number}:{count}")).collect();
            say(pairs.join(" "));
            counts.clear();
        } else {
            *counts.entry(number).or_insert(0u32) += 1;
        }
    }
}

/// Reports each signal, and takes its time to shut down after the first SIGTERM.
pub(crate) fn work(name: &str, milliseconds: u64) -> i32 {
    set_mask(ALL);
    say(Report::Ready.by(name));
    let mut end = None;
    loop {
        let number = match end {
            None => Some(next(ALL)),
            // This is the work.
            Some(end) => next_before(ALL, end),
        };
        let Some(number) = number else { break };
        say(Report::Got(number).by(name));
        if number == libc::SIGTERM && end.is_none() {
            end = Some(Instant::now() + Duration::from_millis(milliseconds));
        }
    }
    say(Report::Finished.by(name));
    0
}

/// Leaves such a program behind as an orphan, with signals blocked from the beginning.
pub(crate) fn daemon(name: &str, milliseconds: u64) -> i32 {
    set_mask(ALL);
    // SAFETY: a single-threaded program.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => work(name, milliseconds),
        ForkResult::Parent { .. } => 0,
    }
}

/// Forks repeatedly.
pub(crate) fn fork_loop() -> ! {
    say(Report::Ready);
    loop {
        // SAFETY: a single-threaded program.
        if let ForkResult::Child = unsafe { fork() }.expect("fork") {
            // In its own group, so that only a search of /proc finds it.
            let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
            loop {
                nix::unistd::pause();
            }
        }
        // Several during a search of /proc, and few enough for the other tests.
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// Dies by a signal.
pub(crate) fn die(number: i32) -> i32 {
    set_mask(0);
    // SAFETY: a process may signal itself.
    unsafe { libc::kill(libc::getpid(), number) };
    panic!("survived {number}");
}

/// Asks its parent to trace it, and stops.
pub(crate) fn stop_under_trace(number: i32) -> i32 {
    ptrace::traceme().expect("PTRACE_TRACEME");
    // SAFETY: a process may signal itself.
    unsafe { libc::raise(number) };
    say(Report::Resumed);
    7
}

/// Sets a handler that blocks all signals.
fn set_handler(number: i32, handler: libc::sighandler_t) {
    // SAFETY: zeros are a valid sigset_t, which this fills.
    let mut mask: libc::sigset_t = unsafe { zeroed() };
    // SAFETY: writes the set.
    unsafe { libc::sigfillset(&raw mut mask) };
    set_action(number, handler, mask);
}

pub(crate) fn set_disposition(number: i32, handler: libc::sighandler_t) {
    // SAFETY: zeros are a valid sigset_t.
    set_action(number, handler, unsafe { zeroed() });
}

fn set_action(number: i32, handler: libc::sighandler_t, mask: libc::sigset_t) {
    // SAFETY: zeros are a valid sigaction.
    let mut action: libc::sigaction = unsafe { zeroed() };
    action.sa_sigaction = handler;
    action.sa_mask = mask;
    // SAFETY: `action` lives through the call.
    unsafe { libc::sigaction(number, &raw const action, ptr::null_mut()) };
}
