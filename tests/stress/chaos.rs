//! Unruly processes under the init.
//!
//! A round is a command with children that stop themselves, change the user, ask for a trace, leave
//! orphans, and so on, while random signals arrive. SIGTERM ends the round. Signals that suspend
//! the init are left out.

use std::time::{Duration, Instant};

use fastrand::Rng;
use nix::unistd::Pid;

use crate::part::{Part, Plan};
use crate::setting::{Mode, Place, SETTINGS};
use crate::start::Start;
use crate::started::{End, PATIENCE, Started, kill_group};
use crate::state::{becomes_so, zombies};
use crate::support::{Order, Report, send};

const RAIN: [i32; 19] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGABRT,
    libc::SIGUSR1,
    libc::SIGSEGV,
    libc::SIGUSR2,
    libc::SIGPIPE,
    libc::SIGALRM,
    libc::SIGCHLD,
    libc::SIGCONT,
    libc::SIGURG,
    libc::SIGXCPU,
    libc::SIGWINCH,
    libc::SIGIO,
    libc::SIGSYS,
    34,
    50,
    64,
];
/// So many signals rain on a command that doesn't fetch them yet: they are pending in each member
/// of its group.
const MOST_UNFETCHED: u32 = 200;

pub fn run(plan: &mut Plan) {
    let rounds = plan.count(1_000, 5_000);
    for (place, mode) in SETTINGS {
        series(plan, place, mode, rounds);
    }
}

fn series(plan: &mut Plan, place: Place, mode: Mode, rounds: u64) {
    let mut random = Rng::with_seed(plan.seed);
    let mut part = Part::new(plan, format_args!("chaos, {place}, {mode}"), "rounds");
    let mut signals = 0;
    for number in 0..rounds {
        let begin = Instant::now();
        let result = round(place, mode, &mut random, &mut signals);
        let hung = result.is_err() && begin.elapsed() >= PATIENCE;
        part.note(result.map(|()| 1).map_err(|what| format!("round {number}: {what}")));
        if hung && !part.note_a_hang() {
            break;
        }
    }
    part.add(format_args!("{signals} signals"));
    part.end();
}

fn round(place: Place, mode: Mode, random: &mut Rng, signals: &mut u64) -> Result<(), String> {
    let (seed, size, status) = (random.u64(..), random.u32(1..40), random.u8(..));
    let mut start = Start::new(place, mode, &[], &[], Order::Chaos(seed, size, status.into()));
    start.piped_stderr = true;
    let mut started = start.start();
    let up = started.stdout.next_within(PATIENCE).ok_or("the command doesn't start")?;
    let Ok(Report::Started(main)) = up.parse() else { return Err(format!("the command says {up:?}")) };
    let main = Pid::from_raw(main);
    let result = storm(&mut started, place, random, signals).and_then(|()| {
        started.signal(libc::SIGTERM);
        match started.end_within(PATIENCE) {
            Some(End::Exited(code)) if code == i32::from(status) => Ok(()),
            end => Err(format!("{end:?} in place of {status}")),
        }
    });
    // The end of PID 1 kills all others first.
    if place == Place::Pid1 && result.is_ok() && !started.stdout.ends_within(PATIENCE) {
        return Err("a process is left".into());
    }
    if place == Place::Plain {
        // A stopped process, for example, is not the init's task here.
        kill_group(main);
    }
    kill_group(started.pid);
    result.map_err(|what| format!("{what}; stderr: {:?}", started.stderr()))
}

/// Sends random signals from before the command's first child until after its last.
fn storm(started: &mut Started, place: Place, random: &mut Rng, signals: &mut u64) -> Result<(), String> {
    // SIGCONT would resume children that are meant to stay stopped.
    let with_continuation = random.bool();
    let pid = started.pid;
    let mut rain = |random: &mut Rng, count: u32| {
        for _ in 0..count {
            let number = RAIN[random.usize(..RAIN.len())];
            if number != libc::SIGCONT || with_continuation {
                send(pid, number);
                *signals += 1;
            }
        }
    };
    let deadline = Instant::now() + PATIENCE;
    let mut unfetched = 0;
    loop {
        let patience = if unfetched < MOST_UNFETCHED { Duration::ZERO } else { Duration::from_millis(10) };
        match started.stdout.next_within(patience) {
            Some(line) if line.parse() == Ok(Report::Ready) => break,
            Some(line) => return Err(format!("the command says {line:?}")),
            None => {}
        }
        if let Some(end) = started.end_within(Duration::ZERO) {
            return Err(format!("it ends before the command: {end:?}"));
        }
        if Instant::now() > deadline {
            return Err("the command is never ready".into());
        }
        if unfetched < MOST_UNFETCHED {
            rain(random, 5);
            unfetched += 5;
        }
    }
    let count = random.u32(..100);
    rain(random, count);
    if place == Place::Pid1 && !becomes_so(|| zombies(started.pid).is_empty()) {
        return Err(format!("these are left as zombies: {:?}", zombies(started.pid)));
    }
    Ok(())
}
