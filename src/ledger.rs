//! Who has got a signal already, and who is to get it?
//!
//! A drain sends its signal to whoever hasn't got it, and to nobody twice; a walk through all descendants doesn't send it
//! again to those that it finds again. Both keep a [`Ledger`]. No input or output.
//!
//! A process that was started by one that had the signal by then is a helper: the `curl` or `sleep` of a trap is a part of
//! how that one shuts down, and to end it would cut the shutdown short. A helper is left to its parent, and is due when
//! that has ended, so that it is an orphan, or when helpers have had their time.

use nix::unistd::Pid;

use crate::descendants::Descendant;
use crate::process::{Moment, Process, State};

/// What about those that were started by one that had the signal by then, and by whatever they have started?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Helpers {
    /// They are left to their parents.
    Spared,
    /// They get it, too.
    Due,
}

/// A process that has got it.
#[derive(Clone, Copy, Debug)]
struct Told {
    pid: Pid,
    started: u64,
    /// When it got it.
    at: Moment,
}

/// Who has got it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// In the order of their PIDs, each of which stands there once.
    told: Vec<Told>,
}

#[derive(Clone, Copy)]
enum Standing {
    Told(Moment),
    Helper,
    Due,
}

impl Ledger {
    /// Notes that a process has got it. Where there is no memory for that, it may get it twice.
    pub(crate) fn note(&mut self, process: &Process, at: Moment) {
        let told = Told { pid: process.pid, started: process.started, at };
        match self.place(process.pid) {
            Ok(index) => {
                // Where it stands there already, it had it by then; else the PID was another's, who is gone.
                if let Some(old) = self.told.get_mut(index).filter(|old| old.started != told.started) {
                    *old = told;
                }
            }
            Err(index) if self.told.try_reserve(1).is_ok() => self.told.insert(index, told),
            Err(_) => {}
        }
    }

    fn place(&self, pid: Pid) -> Result<usize, usize> {
        self.told.binary_search_by_key(&pid, |told| told.pid)
    }

    fn told_at(&self, process: &Process) -> Option<Moment> {
        let told = self.told.get(self.place(process.pid).ok()?)?;
        (told.started == process.started).then_some(told.at)
    }

    /// Has it got it?
    pub(crate) fn has(&self, process: &Process) -> bool {
        self.told_at(process).is_some()
    }

    /// Forgets those that aren't among `all`, which is in the order of PIDs.
    pub(crate) fn forget_who_is_gone(&mut self, all: &[Process]) {
        let is_there = |told: &Told| {
            let found =
                all.binary_search_by_key(&told.pid, |process| process.pid).ok().and_then(|index| all.get(index));
            found.is_some_and(|process| process.started == told.started)
        };
        self.told.retain(is_there);
    }

    /// Those of the descendants that are to get it. Where there is no memory, nobody.
    pub(crate) fn due(&self, descendants: &[Descendant], helpers: Helpers) -> Vec<Process> {
        let (mut standings, mut due) = (Vec::new(), Vec::new());
        if standings.try_reserve(descendants.len()).is_err() || due.try_reserve(descendants.len()).is_err() {
            return Vec::new();
        }
        for Descendant { process, parent } in descendants {
            let parent = parent.and_then(|index| standings.get(index).copied());
            let standing = match (self.told_at(process), parent, helpers) {
                (Some(at), Some(_) | None, Helpers::Spared | Helpers::Due) => Standing::Told(at),
                (None, Some(Standing::Told(at)), Helpers::Spared) if at.is_before(process) => Standing::Helper,
                (None, Some(Standing::Helper), Helpers::Spared) => Standing::Helper,
                (None, Some(Standing::Told(_) | Standing::Due) | None, Helpers::Spared) | (None, _, Helpers::Due) => {
                    Standing::Due
                }
            };
            standings.push(standing);
            if matches!(standing, Standing::Due) && process.state != State::Zombie {
                due.push(*process);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descendants::tests::process;
    use crate::descendants::{Depth, Tree};

    fn began(at: u64, process: Process) -> Process {
        Process { started: at, ..process }
    }

    fn moment(ticks: u64) -> Moment {
        Moment { ticks, youngest: None }
    }

    fn due(ledger: &Ledger, all: &[Process], helpers: Helpers) -> Vec<i32> {
        let descendants =
            Tree::new(all.to_vec()).descendants(Pid::from_raw(1), |_| false, Depth::All, |_| false).unwrap();
        let mut due: Vec<i32> = ledger.due(&descendants, helpers).iter().map(|process| process.pid.as_raw()).collect();
        due.sort_unstable();
        due
    }

    #[test]
    fn who_has_it_is_not_due_and_who_began_later_under_the_same_number_is() {
        let (one, other) = (process(7, 1, 7), process(8, 1, 8));
        let mut ledger = Ledger::default();
        ledger.note(&one, moment(5));
        assert_eq!(due(&ledger, &[one, other], Helpers::Spared), [8]);
        let reborn = began(6, one);
        assert!(ledger.has(&one) && !ledger.has(&reborn));
        assert_eq!(due(&ledger, &[reborn, other], Helpers::Spared), [7, 8]);
        ledger.note(&reborn, moment(7));
        assert!(!ledger.has(&one) && ledger.has(&reborn));
    }

    #[test]
    fn what_was_started_by_one_that_had_it_is_spared_as_long_as_that_lives() {
        let told = process(7, 1, 7);
        let child = |pid, parent, at| began(at, process(pid, parent, 7));
        // 8 was there before, 9 came later and has started 10. 11 was started later by 8.
        let mut all = vec![told, child(8, 7, 4), child(9, 7, 6), child(10, 9, 7), child(11, 8, 6)];
        let mut ledger = Ledger::default();
        ledger.note(&told, moment(5));
        assert_eq!(due(&ledger, &all, Helpers::Spared), [8, 11]);
        assert_eq!(due(&ledger, &all, Helpers::Due), [8, 9, 10, 11]);
        // It has ended; its children are ours.
        all.remove(0);
        all.iter_mut()
            .filter(|process| process.parent.as_raw() == 7)
            .for_each(|process| process.parent = Pid::from_raw(1));
        assert_eq!(due(&ledger, &all, Helpers::Spared), [8, 9, 10, 11]);
    }

    #[test]
    fn it_counts_when_somebody_got_it_first() {
        let told = process(7, 1, 7);
        let mut ledger = Ledger::default();
        ledger.note(&told, moment(5));
        ledger.note(&told, moment(9));
        assert_eq!(due(&ledger, &[told, began(7, process(8, 7, 7))], Helpers::Spared), []);
    }

    #[test]
    fn a_zombie_is_not_due_but_its_children_are() {
        let zombie = Process { state: State::Zombie, ..process(7, 1, 7) };
        assert_eq!(due(&Ledger::default(), &[zombie, process(8, 7, 7)], Helpers::Spared), [8]);
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let all = [process(7, 1, 7), process(8, 1, 8), process(9, 1, 9)];
        let mut ledger = Ledger::default();
        for process in [2, 0, 1].map(|index: usize| all[index]) {
            ledger.note(&process, moment(1));
        }
        ledger.forget_who_is_gone(&[all[0], began(2, all[2])]);
        assert_eq!(all.map(|process| ledger.has(&process)), [true, false, false]);
    }
}
