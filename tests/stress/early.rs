//! SIGTERM in the first moments.
//!
//! It must end the init, as PID 1 too. The starter has every signal blocked: the kernel drops
//! signals for a PID 1 that neither blocks nor handles them. SIGTERM may also kill the init before
//! it can block it.

use std::hint::spin_loop;
use std::time::{Duration, Instant};

use fastrand::Rng;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::part::{Part, Plan};
use crate::setting::{Mode, Place, SETTINGS};
use crate::start::Start;
use crate::started::{End, PATIENCE, Started};
use crate::support::Order;

/// Delay of the latest SIGTERM, in nanoseconds.
const LATEST: u64 = 2_000_000;
/// Time after which a SIGTERM was probably lost. A second signal proves it: the kernel delivers the
/// lowest pending signal first (signal(7)).
const SUSPICION: Duration = Duration::from_millis(20);
const SENTINEL: i32 = 62;
const OURSELVES: Pid = Pid::from_raw(0);

pub fn run(plan: &mut Plan) {
    let count = plan.count(5_000, 25_000);
    let all = sched_getaffinity(OURSELVES).expect("sched_getaffinity");
    let split = split(&all);
    if let Some((mine, _)) = &split {
        sched_setaffinity(OURSELVES, mine).expect("sched_setaffinity");
    }
    for (place, mode) in SETTINGS {
        let mut start = Start::new(place, mode, &[], &[], Order::Hang);
        start.processors = split.map(|(_, others)| others);
        if place == Place::Pid1 {
            start.blocked = u64::MAX;
        }
        series(plan, place, mode, &start, count);
    }
    sched_setaffinity(OURSELVES, &all).expect("sched_setaffinity");
}

/// The first processor, and the others. While we wait without sleeping, the init has to run
/// elsewhere: in its queue behind us, it would get each signal before its first instruction.
fn split(all: &CpuSet) -> Option<(CpuSet, CpuSet)> {
    let mut numbers = (0..CpuSet::count()).filter(|&number| all.is_set(number) == Ok(true));
    let (mut mine, mut others) = (CpuSet::new(), *all);
    let first = numbers.next()?;
    numbers.next()?;
    mine.set(first).ok()?;
    others.unset(first).ok()?;
    Some((mine, others))
}

fn series(plan: &mut Plan, place: Place, mode: Mode, start: &Start, count: u64) {
    let mut random = Rng::with_seed(plan.seed);
    let mut part = Part::new(plan, format_args!("early, {place}, {mode}"), "SIGTERMs in the first 2 ms");
    let mut killed = 0;
    for number in 0..count {
        // Three quarters of the delays are in the first half, since the command runs after that on
        // most machines.
        let latest = LATEST >> random.u32(..2);
        let delay = Duration::from_nanos(random.u64(..latest));
        let mut started = start.start();
        spin(delay);
        started.signal(libc::SIGTERM);
        let wrong = |what: &str| Err(format!("number {number}, after {} µs: {what}", delay.as_micros()));
        let end = end(&mut started);
        part.note(match end {
            Some(End::Exited(143)) => Ok(1),
            Some(End::Killed(libc::SIGTERM)) if place == Place::Plain => {
                killed += 1;
                Ok(1)
            }
            Some(End::Exited(status)) if status == 128 + SENTINEL => wrong("lost"),
            Some(end) => wrong(&format!("{end:?}")),
            None => wrong("hangs"),
        });
        if end.is_none() && !part.note_a_hang() {
            break;
        }
    }
    if place == Place::Plain {
        part.add(format_args!("{killed} killed it before it could block any"));
    }
    part.end();
}

fn end(started: &mut Started) -> Option<End> {
    started.end_within(SUSPICION).or_else(|| {
        started.signal(SENTINEL);
        started.end_within(PATIENCE)
    })
}

/// Waits without sleeping, which is too coarse for this.
fn spin(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        spin_loop();
    }
}
