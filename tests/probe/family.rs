//! The roles of a random family: processes of which each tells what it gets, and takes its time to shut down; or each of
//! which is prepared for signals in a manner of its own.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use fastrand::Rng;
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, fork, setpgid, setsid};

use crate::manners::{MANNERS, Manner};
use crate::signals::{ALL, set_mask, work};

/// Where a member lives.
#[derive(Clone, Copy)]
enum Place {
    WithItsParent,
    GroupOfItsOwn,
    SessionOfItsOwn,
}

const PLACES: [Place; 4] =
    [Place::WithItsParent, Place::WithItsParent, Place::GroupOfItsOwn, Place::SessionOfItsOwn];

struct Member {
    parent: usize,
    place: Place,
    /// Is it an orphan from the beginning?
    is_daemon: bool,
    /// Does it run under an init of its own?
    has_init: bool,
    /// An option of that init.
    init_option: &'static str,
    milliseconds: u64,
    manner: Manner,
    /// Whether its standard error is the standard input of its parent's next child.
    feeds_next: bool,
}

const INIT_OPTIONS: [&str; 6] = ["-v", "-c", "--forward=tree", "-rTERM:USR1", "-rUSR2:0", "--linger"];

/// What each member does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Work,
    /// Be prepared for signals in its manner, and tell what comes. The inits below have options.
    Record,
}

/// A family, and how to start a part of it anew.
struct Family {
    members: Vec<Member>,
    task: Task,
    init: OsString,
    words: [String; 2],
}

/// Starts a family of `size`, or the part of it that begins with this member. Nobody misses a signal who is ready.
pub(crate) fn family(task: Task, [seed, size, init]: [&str; 3], begin: usize) -> i32 {
    set_mask(ALL);
    let seed_number: u64 = seed.parse().unwrap();
    let (mut rng, mut rng_of_pipes) = (Rng::with_seed(seed_number), Rng::with_seed(!seed_number));
    let member = |index: usize| Member {
        parent: rng.usize(0..index.max(1)),
        place: *rng.choice(&PLACES).unwrap(),
        is_daemon: rng.u8(0..4) == 0,
        has_init: rng.u8(0..8) == 0,
        init_option: rng.choice(&INIT_OPTIONS).unwrap(),
        milliseconds: rng.u64(0..150),
        // Who tells that it begins, is there to the end.
        manner: if index == 0 { Manner::Waits } else { *rng.choice(&MANNERS).unwrap() },
        feeds_next: task == Task::Record && rng_of_pipes.u8(0..6) == 0,
    };
    let members = (0..size.parse().unwrap()).map(member).collect();
    Family { members, task, init: init.into(), words: [seed.into(), size.into()] }.live(begin)
}

impl Family {
    fn live(&self, index: usize) -> i32 {
        let mut input = None;
        for (child, member) in
            self.members.iter().enumerate().skip(1).filter(|(_, member)| member.parent == index)
        {
            let (next_input, output) = member.feeds_next.then(|| std::io::pipe().expect("a pipe")).unzip();
            if !fork_one() {
                input = next_input;
                continue;
            }
            if member.is_daemon && !fork_one() {
                end(0);
            }
            drop(next_input);
            if let Some(input) = input.take() {
                dup2_stdin(input).expect("dup2");
            }
            if let Some(output) = output {
                dup2_stderr(output).expect("dup2");
            }
            match member.place {
                Place::WithItsParent => {}
                Place::GroupOfItsOwn => setpgid(Pid::from_raw(0), Pid::from_raw(0)).expect("setpgid"),
                Place::SessionOfItsOwn => drop(setsid().expect("setsid")),
            }
            if member.has_init {
                let (role, option) = match self.task {
                    Task::Work => ("family", None),
                    Task::Record => ("crew", Some(member.init_option)),
                };
                let error = Command::new(&self.init)
                    .args(option)
                    .arg("--")
                    .arg(env::current_exe().expect("this program"))
                    .arg(role)
                    .args(&self.words)
                    .arg(&self.init)
                    .arg(child.to_string())
                    .exec();
                panic!("{error}");
            }
            end(self.live(child));
        }
        drop(input);
        let (name, member) = (format!("member-{index}"), &self.members[index]);
        match self.task {
            Task::Work => work(&name, member.milliseconds),
            Task::Record => member.manner.live(&name),
        }
    }
}

/// Is this the child?
fn fork_one() -> bool {
    // SAFETY: a single-threaded program.
    matches!(unsafe { fork() }.expect("fork"), ForkResult::Child)
}

fn end(status: i32) -> ! {
    // SAFETY: ends this process and nothing else.
    unsafe { libc::_exit(status) }
}
