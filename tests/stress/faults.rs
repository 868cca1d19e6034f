//! Refused system calls.
//!
//! The init and its command inherit each refusal. Unless a case has another expectation, nothing
//! may change: see `normal_run`.

use std::fs;

use crate::part::{Part, Plan};
use crate::setting::{Mode, Place, SETTINGS};
use crate::start::Start;
use crate::started::{End, PATIENCE, Started};
use crate::state::{becomes_so, children};
use crate::support::{Condition, Order, Scratch, init_under_test, skip};

const CALLS: &[libc::c_long] = &[
    libc::SYS_capget,
    libc::SYS_chdir,
    libc::SYS_clone3,
    libc::SYS_close_range,
    libc::SYS_getpgid,
    libc::SYS_getrandom,
    libc::SYS_getsid,
    libc::SYS_ioctl,
    libc::SYS_openat,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    #[cfg(not(any(target_arch = "aarch64", target_arch = "riscv64", target_arch = "loongarch64")))]
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_prctl,
    libc::SYS_prlimit64,
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_setsid,
    libc::SYS_waitid,
    libc::SYS_writev,
];

/// Setting and condition of an init.
#[derive(Clone, Copy)]
struct Case {
    place: Place,
    mode: Mode,
    condition: Condition,
}

pub fn run(plan: &mut Plan) {
    let full =
        fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.split_whitespace().nth(2) != Some("1"));
    for (place, mode) in SETTINGS {
        let mut part = Part::new(plan, format_args!("faults, {place}, {mode}"), "conditions");
        let mut try_out = |condition, check: fn(Case) -> Result<(), String>| {
            let result = check(Case { place, mode, condition }).map(|()| 1);
            part.note(result.map_err(|what| format!("{condition}: {what}")));
        };
        for &call in CALLS {
            for errno in [libc::ENOSYS, libc::EPERM] {
                let needs_session = call == libc::SYS_setsid && mode == Mode::Group;
                let check = if needs_session { no_session } else { normal_run };
                try_out(Condition::Refused(call, errno), check);
            }
        }
        for errno in [libc::ENOSYS, libc::EPERM] {
            try_out(Condition::RefusedCloneVm(errno), normal_run);
        }
        try_out(Condition::Hidden("/proc"), normal_run);
        // For root there is no limit of processes.
        if full {
            try_out(Condition::Processes(0), no_process);
        } else {
            skip("there is no other user here (fork refused)");
        }
        part.end();
    }
}

/// Expects that status and SIGTERM pass, that a missing command is reported, and that PID 1 reaps.
fn normal_run(case: Case) -> Result<(), String> {
    let mut started = case.start(&["-v"], Order::Exit(7)).start();
    expect(&mut started, 7, "[dumb-init] Child exited with status 7. Goodbye.\n")?;

    let mut started = case.start(&[], Order::Exit(7)).command("/nonexistent").start();
    expect(&mut started, 2, "[dumb-init] /nonexistent: No such file or directory\n")?;

    let mut started = case.start(&[], Order::Orphans(5)).start();
    if started.stdout.next_within(PATIENCE).is_none() {
        let end = started.end_within(PATIENCE);
        return Err(format!("the command doesn't come up: {end:?}"));
    }
    let has_one_child = || children(started.pid).len() == 1;
    if case.place == Place::Pid1 && !becomes_so(has_one_child) {
        return Err(format!("it has {} children in place of one", children(started.pid).len()));
    }
    started.signal(libc::SIGTERM);
    expect(&mut started, 143, "")
}

fn no_session(case: Case) -> Result<(), String> {
    let Condition::Refused(_, errno) = case.condition else { unreachable!("setsid is refused") };
    let text = if errno == libc::EPERM { "Operation not permitted" } else { "Function not implemented" };
    let message = format!("[dumb-init] Unable to setsid (errno={errno} {text}). Exiting.\n");
    expect(&mut case.start(&[], Order::Exit(7)).start(), 1, &message)
}

fn no_process(case: Case) -> Result<(), String> {
    let scratch = Scratch::new();
    let path = scratch.executable_copy(&init_under_test());
    let conditions = [Condition::User(65534), case.condition];
    let mut start = Start::new(case.place, case.mode, &conditions, &[], Order::Exit(7)).with_init_at(&path);
    start.piped_stderr = true;
    expect(&mut start.start(), 1, "[dumb-init] Unable to fork. Exiting.\n")
}

impl Case {
    fn start(self, options: &[&str], order: Order) -> Start {
        let mut start = Start::new(self.place, self.mode, &[self.condition], options, order);
        start.piped_stderr = true;
        start
    }
}

/// Waits for the end, which is expected to be with this status, and with this at the end of stderr.
fn expect(started: &mut Started, status: i32, message: &str) -> Result<(), String> {
    let end = started.end_within(PATIENCE);
    if end.is_none() {
        return Err(format!("it hangs, where {status} is expected"));
    }
    let stderr = started.stderr();
    if end == Some(End::Exited(status)) && stderr.ends_with(message) {
        return Ok(());
    }
    Err(format!("{end:?} in place of {status} and {message:?}; stderr: {stderr:?}"))
}
