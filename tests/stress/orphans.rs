//! Thousands of orphans of PID 1, many of which exit at once.

use crate::part::{Part, Plan};
use crate::setting::{Mode, Place};
use crate::start::Start;
use crate::started::{End, PATIENCE};
use crate::state::{Memory, becomes_so, children};
use crate::support::Order;

/// Orphans of a wave.
const WAVE: u32 = 1000;

pub fn run(plan: &mut Plan) {
    let count = plan.count(20_000, 100_000);
    for mode in [Mode::Group, Mode::Child] {
        series(plan, mode, count);
    }
}

fn series(plan: &mut Plan, mode: Mode, count: u64) {
    let mut part = Part::new(plan, format_args!("orphans, PID 1, {mode}"), "orphans");
    let mut started = Start::new(Place::Pid1, mode, &[], &[], Order::Waves(WAVE)).start();
    started.wait_for_the_command();
    let before = Memory::of(started.pid);
    for wave in 0..count / u64::from(WAVE) {
        started.signal(libc::SIGUSR1);
        if started.stdout.next_within(PATIENCE).is_none() {
            part.note(Err(format!("there is no wave {wave}")));
            break;
        }
        let all_reaped = becomes_so(|| children(started.pid).len() == 1);
        let left = children(started.pid).len();
        part.note(if all_reaped {
            Ok(WAVE.into())
        } else {
            Err(format!("after wave {wave} there are {left} children"))
        });
        if !all_reaped {
            break;
        }
    }
    part.add_memory(before, Memory::of(started.pid));
    started.signal(libc::SIGTERM);
    part.note(match started.end_within(PATIENCE) {
        Some(End::Exited(143)) => Ok(0),
        end => Err(format!("after a SIGTERM in the end: {end:?}")),
    });
    part.end();
}
