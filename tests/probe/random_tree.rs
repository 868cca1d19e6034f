//! Random trees of processes, each of which reports the signals that it receives.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

use fastrand::Rng;
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, fork, setpgid, setsid};

use crate::dispositions;
use crate::processes::exit_now;
use crate::protocol::{Disposition, Order};
use crate::signals::{ALL, set_mask, work};

/// Session and group of a member.
#[derive(Clone, Copy)]
enum Isolation {
    None,
    Group,
    Session,
}

const ISOLATIONS: [Isolation; 4] = [Isolation::None, Isolation::None, Isolation::Group, Isolation::Session];

struct Member {
    parent: usize,
    isolation: Isolation,
    /// Whether it is an orphan from the beginning.
    is_daemon: bool,
    /// Whether it runs under another init.
    has_init: bool,
    init_option: &'static str,
    milliseconds: u64,
    disposition: Disposition,
    /// Whether its standard error is the standard input of its parent's next child.
    feeds_next: bool,
}

const INIT_OPTIONS: [&str; 6] = ["-v", "-c", "--forward=tree", "-rTERM:USR1", "-rUSR2:0", "--linger"];

type OrderOfTree = fn(u64, usize, &'static str, usize) -> Order;

/// Tree, and the order that starts a part of it under another init.
pub(crate) struct Tree {
    members: Vec<Member>,
    order: OrderOfTree,
    /// Whether members have different dispositions, and the inits below have options.
    records: bool,
    seed: u64,
    init: &'static str,
}

impl Tree {
    /// The tree of this seed.
    pub(crate) fn new(order: OrderOfTree, seed: u64, size: usize, init: &'static str) -> Self {
        let records = matches!(order(seed, size, init, 0), Order::RecordingTree(..));
        let (mut rng, mut rng_of_pipes) = (Rng::with_seed(seed), Rng::with_seed(!seed));
        let member = |index: usize| Member {
            parent: rng.usize(0..index.max(1)),
            isolation: *rng.choice(&ISOLATIONS).unwrap(),
            is_daemon: rng.u8(0..4) == 0,
            has_init: rng.u8(0..8) == 0,
            init_option: rng.choice(&INIT_OPTIONS).unwrap(),
            milliseconds: rng.u64(0..150),
            // The root lives until the end.
            disposition: match index {
                0 => Disposition::Waits,
                _ => *rng.choice(&Disposition::ALL).unwrap(),
            },
            feeds_next: records && rng_of_pipes.u8(0..6) == 0,
        };
        let members = (0..size).map(member).collect();
        Self { members, order, records, seed, init }
    }

    /// Starts the part that begins with this member. Signals are blocked before any report, so none
    /// is missed.
    pub(crate) fn start(&self, begin: usize) -> i32 {
        set_mask(ALL);
        self.run(begin)
    }

    fn run(&self, index: usize) -> i32 {
        let mut input = None;
        for (child, member) in
            self.members.iter().enumerate().skip(1).filter(|(_, member)| member.parent == index)
        {
            let (next_input, output) = member.feeds_next.then(|| std::io::pipe().expect("a pipe")).unzip();
            if !is_child_of_fork() {
                if member.is_daemon {
                    // Its parent exits at once. No zombie is left.
                    let _ = nix::sys::wait::wait();
                }
                input = next_input;
                continue;
            }
            if member.is_daemon && !is_child_of_fork() {
                exit_now(0);
            }
            drop(next_input);
            if let Some(input) = input.take() {
                dup2_stdin(input).expect("dup2");
            }
            if let Some(output) = output {
                dup2_stderr(output).expect("dup2");
            }
            match member.isolation {
                Isolation::None => {}
                Isolation::Group => setpgid(Pid::from_raw(0), Pid::from_raw(0)).expect("setpgid"),
                Isolation::Session => drop(setsid().expect("setsid")),
            }
            if member.has_init {
                let order = (self.order)(self.seed, self.members.len(), self.init, child).to_string();
                let error = Command::new(self.init)
                    .args(self.records.then_some(member.init_option))
                    .arg("--")
                    .arg(env::current_exe().expect("this program"))
                    .args(order.split(' '))
                    .exec();
                panic!("{error}");
            }
            exit_now(self.run(child));
        }
        drop(input);
        let (name, member) = (format!("member-{index}"), &self.members[index]);
        if self.records {
            dispositions::run(member.disposition, &name);
        }
        work(&name, member.milliseconds)
    }
}

fn is_child_of_fork() -> bool {
    // SAFETY: a single-threaded program.
    matches!(unsafe { fork() }.expect("fork"), ForkResult::Child)
}
