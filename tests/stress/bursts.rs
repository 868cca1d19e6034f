//! Bursts of signals, all of which must arrive.

use std::collections::BTreeMap;
use std::io::Read;
use std::thread;

use fastrand::Rng;
use nix::sys::resource::{Resource, getrlimit};

use crate::part::{Part, Plan};
use crate::setting::{Mode, Place, SETTINGS};
use crate::start::Start;
use crate::started::{PATIENCE, Started};
use crate::state::Memory;
use crate::support::Order;

const SENTINEL: i32 = 64;
const FIRST_THAT_QUEUES: i32 = 34;
/// Signals that are not forwarded, cannot be blocked, or suspend the init.
const LEFT_OUT: [i32; 6] =
    [libc::SIGCHLD, libc::SIGKILL, libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// Number of each signal, sent or received.
type Counts = BTreeMap<i32, u32>;

pub fn run(plan: &mut Plan) {
    let count = plan.count(100_000, 1_000_000);
    for (place, mode) in SETTINGS {
        series(plan, place, mode, &[], count);
    }
    series(plan, Place::Plain, Mode::Group, &["-v"], 100_000);
}

fn series(plan: &mut Plan, place: Place, mode: Mode, options: &[&str], count: u64) {
    // Two queues are of the same user, the init's and the command's.
    let limit = getrlimit(Resource::RLIMIT_SIGPENDING).expect("RLIMIT_SIGPENDING").0 / 4;
    let mut random = Rng::with_seed(plan.seed);
    let verbose = if options.is_empty() { "" } else { ", -v" };
    let mut part = Part::new(plan, format_args!("bursts, {place}, {mode}{verbose}"), "signals");
    let mut start = Start::new(place, mode, &[], options, Order::Count(SENTINEL));
    start.piped_stderr = true;
    let mut started = start.start();
    let mut stderr = started.stderr.take().unwrap();
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        stderr.read_to_end(&mut text).map(|_| text)
    });
    started.wait_for_the_command();

    let before = Memory::of(started.pid);
    let mut left = count;
    let mut sent_in_all = Counts::new();
    while left > 0 {
        let size = random.u64(1..=left.min(limit).min(1000));
        left -= size;
        let sent = send_burst(&started, &mut random, size);
        let Some(line) = started.stdout.next_within(PATIENCE) else {
            part.note(Err(format!("nothing arrives after a burst of {size}, {left} before the end")));
            break;
        };
        part.note(compare(&sent, &parse(&line)).map(|()| size));
        for (number, times) in sent {
            *sent_in_all.entry(number).or_default() += times;
        }
    }
    let queued: u32 = sent_in_all.range(FIRST_THAT_QUEUES..).map(|(_, times)| times).sum();
    part.add(format_args!("{queued} of them real-time ones"));
    part.add_memory(before, Memory::of(started.pid));
    drop(started);
    let lines = String::from_utf8_lossy(&reader.join().unwrap().expect("stderr")).into_owned();
    if !options.is_empty() {
        part.note(compare_with_lines(&sent_in_all, &lines).map(|()| 0));
        part.add(format_args!("{} lines on stderr", lines.lines().count()));
    }
    part.end();
}

fn send_burst(started: &Started, random: &mut Rng, size: u64) -> Counts {
    let mut sent = Counts::new();
    // Some bursts are of a few signals only, so that they come often.
    let kinds = random.i32(1..=SENTINEL - 1);
    for _ in 0..size {
        let number = (1 + random.i32(0..kinds) * 7) % SENTINEL;
        let number =
            if LEFT_OUT.contains(&number) || [0, 32, 33].contains(&number) { libc::SIGUSR1 } else { number };
        started.signal(number);
        *sent.entry(number).or_default() += 1;
    }
    started.signal(SENTINEL);
    sent
}

/// Reads the recorder's line.
fn parse(line: &str) -> Counts {
    let pair = |pair: &str| {
        pair.split_once(':').map(|(number, count)| (number.parse().unwrap(), count.parse().unwrap()))
    };
    line.split_whitespace().filter_map(pair).collect()
}

fn compare(sent: &Counts, came: &Counts) -> Result<(), String> {
    for number in 1..SENTINEL {
        let sent = sent.get(&number).copied().unwrap_or(0);
        let came = came.get(&number).copied().unwrap_or(0);
        let least = if number < FIRST_THAT_QUEUES { sent.min(1) } else { sent };
        if came < least || came > sent {
            return Err(format!("signal {number} was sent {sent} times and came {came} times"));
        }
    }
    Ok(())
}

/// There is a line for each signal that queues.
fn compare_with_lines(sent: &Counts, lines: &str) -> Result<(), String> {
    let mut told = Counts::new();
    for line in lines.lines() {
        let number =
            line.strip_prefix("[dumb-init] Received signal ").and_then(|rest| rest.strip_suffix('.'));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            *told.entry(number).or_default() += 1;
        }
    }
    compare(sent, &told).map_err(|text| format!("by the debug lines, {text}"))
}
