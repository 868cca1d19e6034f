//! Measurements.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::Request;
use crate::drain::{self, drain};
use crate::inits::{Baseline, Init, environment};
use crate::measured::{Measured, in_turns, median};
use crate::roles;
use crate::started::{Started, send};

pub const STARTUP: &str = "startup";
pub const MEMORY: &str = "memory";
pub const RSS: &str = "rss";
pub const SIZE: &str = "size";
pub const LATENCY: &str = "latency";
pub const REAPING: &str = "reaping";
/// A part of [`REAPING`].
const REAPING_ALONE: &str = "reaping alone";
pub const IDLE: &str = "idle";
pub const END: &str = "end";
pub const NAMES: [&str; 8] = [STARTUP, MEMORY, SIZE, LATENCY, REAPING, IDLE, END, drain::CPU];

/// Number of reaped orphans.
pub const ORPHANS: [usize; 3] = [1_000, 5_000, 20_000];
/// In so many rounds each.
const REAPING_ROUNDS: [usize; 3] = [15, 9, 5];

/// All measurements that are asked for.
pub fn all(request: &Request, inits: &[Init], baseline: &Baseline) -> Vec<Measured> {
    let everywhere = sched_getaffinity(Pid::from_raw(0)).expect("the processors");
    let mut measured = Vec::new();
    let mut take = |name: &str, measure: &dyn Fn() -> Vec<Measured>| {
        if request.wants(name) {
            eprintln!("measuring: {name}");
            measured.extend(measure());
        }
    };
    take(SIZE, &|| vec![size(inits)]);
    // On one processor, no start waits for another processor to wake up, and no signal crosses
    // processors.
    if std::env::var_os("NOPIN").is_none() {
        sched_setaffinity(Pid::from_raw(0), &last_processor(&everywhere)).expect("one processor");
    }
    take(STARTUP, &|| vec![startup(inits, baseline, request.rounds(2_000))]);
    take(LATENCY, &|| vec![latency(inits, request.rounds(40))]);
    sched_setaffinity(Pid::from_raw(0), &everywhere).expect("the processors of before");
    take(MEMORY, &|| memory(inits, request.rounds(9)));
    take(REAPING, &|| {
        let counts = ORPHANS.into_iter().zip(REAPING_ROUNDS);
        counts.map(|(count, rounds)| reaping(inits, count, request.rounds(rounds))).collect()
    });
    sched_setaffinity(Pid::from_raw(0), &last_processor(&everywhere)).expect("one processor");
    take(REAPING, &|| vec![reaping_one_by_one(inits, request.rounds(9))]);
    sched_setaffinity(Pid::from_raw(0), &everywhere).expect("the processors of before");
    take(IDLE, &|| vec![idle(inits, Duration::from_secs(if request.quick { 1 } else { 10 }))]);
    take(END, &|| vec![end(inits, request.rounds(100)), end_of_drain(inits, request.rounds(100))]);
    take(drain::CPU, &|| {
        drain::COUNTS.iter().flat_map(|&count| drain(inits, count, request.rounds(5))).collect()
    });
    measured
}

/// The last processor of those that we may use.
fn last_processor(all: &CpuSet) -> CpuSet {
    let last = (0..CpuSet::count())
        .rev()
        .find(|&index| all.is_set(index).is_ok_and(|set| set))
        .expect("a processor");
    let mut one = CpuSet::new();
    one.set(last).expect("a processor");
    one
}

/// The same of each init.
fn of_each(inits: &[Init], rounds: usize, mut sample: impl FnMut(&Init) -> Option<f64>) -> Vec<Option<f64>> {
    in_turns(inits.len(), rounds, |index| sample(&inits[index]))
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn size(inits: &[Init]) -> Measured {
    let size = |init: &Init| std::fs::metadata(&init.path).ok().map(|file| kilobytes(file.len()));
    let medians = inits.iter().map(size).collect();
    Measured {
        name: SIZE,
        title: "size of the file".into(),
        unit: "kB",
        medians,
        alone: None,
        two_execs: None,
    }
}

/// Thousands of bytes.
#[allow(clippy::cast_precision_loss)] // No file is that large.
fn kilobytes(bytes: u64) -> f64 {
    bytes as f64 / 1000.0
}

/// The time from the call that starts `INIT true` to its end, as a plain process.
fn startup(inits: &[Init], baseline: &Baseline, rounds: usize) -> Measured {
    let time = |command: &mut Command| {
        command.env_clear().envs(environment());
        let begin = Instant::now();
        let status = command.status().expect("a start");
        let time = begin.elapsed();
        assert!(status.success(), "{command:?}: {status}");
        microseconds(time)
    };
    let count = inits.len();
    let mut medians = in_turns(count + 2, rounds, |index| {
        Some(match inits.get(index) {
            Some(init) => time(Command::new(&init.path).args(init.as_plain_process).arg(&baseline.alone)),
            None if index == count => time(&mut Command::new(&baseline.alone)),
            None => time(Command::new(&baseline.two_execs).arg(&baseline.alone)),
        })
    });
    let (two_execs, alone) = (medians.pop().flatten(), medians.pop().flatten());
    let title = "start-up: `INIT true`".into();
    Measured { name: STARTUP, title, unit: "µs", medians, alone, two_execs }
}

/// The time from a signal to the init until the command has answered it.
fn latency(inits: &[Init], rounds: usize) -> Measured {
    let medians = of_each(inits, rounds, |init| {
        let mut started = Started::new(init, &[], &[roles::ECHO]);
        let times = (0..1_000).map(|_| {
            let begin = Instant::now();
            send(started.pid(), Signal::SIGUSR1);
            started.read(&mut [0]);
            microseconds(begin.elapsed())
        });
        median(times.collect())
    });
    let title = "a signal's way to the command, and the answer".into();
    Measured { name: LATENCY, title, unit: "µs", medians, alone: None, two_execs: None }
}

/// Memory of an init that has nothing to do.
#[allow(clippy::cast_precision_loss)]
fn memory(inits: &[Init], rounds: usize) -> Vec<Measured> {
    let field = |name: &'static str, field: &'static str, title: &str| {
        let medians =
            of_each(inits, rounds, |init| Some(Started::new(init, &[], &[roles::HANG]).memory(field) as f64));
        Measured { name, title: title.into(), unit: "KiB", medians, alone: None, two_execs: None }
    };
    vec![
        field(MEMORY, "Private_Dirty", "memory of its own (Private_Dirty), idle"),
        field(RSS, "Rss", "memory that is mapped (Rss), idle"),
    ]
}

/// Time of the processor that an init takes for an orphan, of so many that have ended. It is
/// stopped while they end: else it would wait for the kernel's locks beside them, now longer, now
/// shorter.
#[allow(clippy::cast_precision_loss)]
fn reaping(inits: &[Init], count: usize, rounds: usize) -> Measured {
    let everywhere = sched_getaffinity(Pid::from_raw(0)).expect("the processors");
    let medians = of_each(inits, rounds, |init| {
        let mut started = Started::new(init, &[], &[roles::ORPHANS, &count.to_string()]);
        send(started.pid(), Signal::SIGSTOP);
        started.write(b".");
        started.read(&mut [0; 5]);
        // The kernel closes the descriptors of a process shortly before its end.
        thread::sleep(Duration::from_millis(50));
        sched_setaffinity(started.pid(), &last_processor(&everywhere)).expect("one processor");
        let before = started.time_on_processor();
        send(started.pid(), Signal::SIGCONT);
        started.settle();
        let time = started.time_on_processor() - before;
        assert_eq!(started.children().len(), 1, "only the command is left: {}", init.name);
        Some(time as f64 / 1e3 / count as f64)
    });
    let title = format!("processor time to reap an orphan, of {count}");
    Measured { name: REAPING, title, unit: "µs", medians, alone: None, two_execs: None }
}

/// Processor time of an init for each orphan, which exit one after the other while it sleeps.
#[allow(clippy::cast_precision_loss)]
fn reaping_one_by_one(inits: &[Init], rounds: usize) -> Measured {
    const COUNT: usize = 300;
    let medians = of_each(inits, rounds, |init| {
        let mut started = Started::new(init, &[], &[roles::ONE_BY_ONE, &COUNT.to_string()]);
        let before = started.time_on_processor();
        started.write(b".");
        started.read(&mut [0; 5]);
        started.settle();
        let time = started.time_on_processor() - before;
        assert_eq!(started.children().len(), 1, "only the command is left: {}", init.name);
        Some(time as f64 / 1e3 / COUNT as f64)
    });
    let title = "processor time for an orphan that ends alone".into();
    Measured { name: REAPING_ALONE, title, unit: "µs", medians, alone: None, two_execs: None }
}

/// Number of times that an idle init runs on a processor.
#[allow(clippy::cast_precision_loss)]
fn idle(inits: &[Init], time: Duration) -> Measured {
    let started: Vec<Started> = inits.iter().map(|init| Started::new(init, &[], &[roles::HANG])).collect();
    let before: Vec<u64> = started.iter().map(Started::switches).collect();
    thread::sleep(time);
    let medians =
        started.iter().zip(before).map(|(started, before)| Some((started.switches() - before) as f64));
    let title = format!("wake-ups in {} idle seconds", time.as_secs());
    Measured { name: IDLE, title, unit: "", medians: medians.collect(), alone: None, two_execs: None }
}

/// The time from the end of the last process, which is the command, to the end of the PID namespace.
fn end(inits: &[Init], rounds: usize) -> Measured {
    let medians = of_each(inits, rounds, |init| {
        let started = Started::new(init, &[], &[roles::HANG]);
        Some(time_to_end(started))
    });
    let title = "from the command's end to the container's".into();
    Measured { name: END, title, unit: "µs", medians, alone: None, two_execs: None }
}

/// The same with an orphan as the last process. No peer waits for it.
fn end_of_drain(inits: &[Init], rounds: usize) -> Measured {
    let medians = of_each(inits, rounds, |init| {
        init.is_ours().then(|| time_to_end(Started::new(init, &["--linger"], &[roles::LEAVE])))
    });
    let title = "from the last orphan's end to the container's, with `--linger`".into();
    Measured { name: END, title, unit: "µs", medians, alone: None, two_execs: None }
}

fn time_to_end(mut started: Started) -> f64 {
    let last = started.only_child();
    let begin = Instant::now();
    send(last, Signal::SIGKILL);
    started.wait();
    microseconds(begin.elapsed())
}
