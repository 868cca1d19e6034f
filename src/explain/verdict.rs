//! Is that as it should be?
//!
//! From a forecast to what becomes of each process, and to the answer: does every process get the signal, and does the
//! container wait for all of them? No input or output.

use std::collections::BTreeMap;

use nix::unistd::Pid;

use super::evidence::{Evidence, Main};
use super::facts::Facts;
use super::forecast::{Arrival, Command, Conduct, Forecast, Rest, Scenario, When};
use super::handling::Reaction;
use super::inits::Rules;
use super::relations::descendants_of;
use crate::process::State;
use crate::signal::Signum;

/// What becomes of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is the init that is asked about.
    Init(Conduct, Reaction),
    /// An init that gets it and passes it on.
    Forwards(When),
    /// It gets a signal and does that.
    Gets(Reaction, When),
    /// As before, but it is stopped, and nobody lets it go on.
    GetsStopped(Reaction, When),
    Never,
    /// Whether it gets it, or ever acts on it, isn't known.
    Unknown,
    /// It has ended, and waits to be reaped.
    Zombie,
    /// It passes on what the init prints, and isn't signalled.
    Plumbing,
}

impl Fate {
    /// Is it a process below the init that is to get the signal?
    fn counts(self) -> bool {
        match self {
            Self::Init(..) | Self::Zombie | Self::Plumbing => false,
            Self::Forwards(_) | Self::Gets(..) | Self::GetsStopped(..) | Self::Never | Self::Unknown => true,
        }
    }

    /// Is it one that is to get the signal although it is asked about as an init?
    fn counts_alone(self) -> bool {
        matches!(self, Self::Init(Conduct::OnlyActs | Conduct::Unknown, _))
    }

    /// What it does, if it gets the signal.
    pub(crate) fn reaction(self) -> Option<Reaction> {
        match self {
            Self::Gets(reaction, _)
            | Self::GetsStopped(reaction, _)
            | Self::Init(Conduct::OnlyActs | Conduct::Unknown, reaction) => Some(reaction),
            Self::Init(Conduct::Forwards(_) | Conduct::Drops | Conduct::Keeps, _)
            | Self::Forwards(_)
            | Self::Never
            | Self::Unknown
            | Self::Zombie
            | Self::Plumbing => None,
        }
    }

    /// Does the signal never come to something? The kernel throws away what a PID 1 has no handler for.
    pub(crate) fn is_never(self) -> bool {
        self == Self::Never || self.reaction() == Some(Reaction::Drops)
    }

    /// When it gets the signal.
    pub(crate) fn when(self) -> Option<When> {
        match self {
            Self::Forwards(when) | Self::Gets(_, when) | Self::GetsStopped(_, when) => Some(when),
            Self::Init(..) | Self::Never | Self::Unknown | Self::Zombie | Self::Plumbing => None,
        }
    }
}

/// What would come of the signal, all told.
pub(crate) struct Verdict {
    pub(crate) forecast: Forecast,
    /// In the order of their PIDs.
    pub(crate) fates: Vec<(Pid, Fate)>,
    /// Those that are to get the signal.
    pub(crate) total: usize,
    pub(crate) never: usize,
    pub(crate) unknown: usize,
    /// Masters with workers that get the signal beside them, while the masters shut them down.
    pub(crate) interrupted: BTreeMap<Pid, Vec<Pid>>,
    /// Does the container end no sooner than the last process?
    pub(crate) waits: bool,
}

impl Verdict {
    pub(crate) fn of(scenario: Scenario<'_>, signum: Signum) -> Self {
        let evidence = scenario.evidence;
        let forecast = Forecast::of(scenario, signum);
        let racing = descendants_of(scenario.tree, forecast.racing.iter().copied());
        let uncertain = forecast.unknown.iter().chain(&forecast.racing).copied();
        let unknown = descendants_of(scenario.tree, uncertain);
        // Where it isn't certain whether the command is still there, what depends on it isn't either.
        let otherwise = match evidence.main(evidence.init) {
            Main::MayBe(_) => Some(Forecast::of(Scenario { command: Command::HasEnded, ..scenario }, signum)),
            Main::Is(_) | Main::HasEnded => None,
        };
        let gets = |forecast: &Forecast, pid: Pid| forecast.arrivals_at(pid).next().is_some();
        // An init that doesn't wait may end before it sends what it keeps for pipe readers.
        let is_lost = |arrival: &Arrival| {
            let main = evidence.main_of(arrival.by);
            let ends = forecast.rest_of(arrival.by) == Rest::IsLeft
                && main.is_some_and(|main| forecast.gone.contains(&main));
            arrival.is_kept && ends
        };
        let is_doubtful = |pid: Pid| gets(&forecast, pid) && forecast.arrivals_at(pid).all(is_lost);
        let doubtful = evidence.others().map(|facts| facts.process.pid).filter(|&pid| is_doubtful(pid));
        let below_doubtful = descendants_of(scenario.tree, doubtful);
        let is_of_interest = |facts: &&Facts| {
            let pid = facts.process.pid;
            evidence.is_family(pid) || gets(&forecast, pid) || unknown.contains(&pid)
        };
        let fate_of = |facts: &Facts| {
            let pid = facts.process.pid;
            let fate = fate(evidence, facts, &forecast);
            let is_open = match fate {
                Fate::Never => {
                    unknown.contains(&pid) && !forecast.refused.contains(&pid)
                        || otherwise.as_ref().is_some_and(|forecast| gets(forecast, pid))
                }
                // An init that finds it in time lets it go on.
                Fate::GetsStopped(..) => racing.contains(&pid),
                Fate::Forwards(When::AfterWriters) | Fate::Gets(_, When::AfterWriters) => {
                    is_doubtful(pid) || below_doubtful.contains(&pid)
                }
                Fate::Init(..)
                | Fate::Forwards(_)
                | Fate::Gets(..)
                | Fate::Unknown
                | Fate::Zombie
                | Fate::Plumbing => false,
            };
            (pid, if is_open { Fate::Unknown } else { fate })
        };
        let mut fates: Vec<(Pid, Fate)> = evidence.others().filter(is_of_interest).map(fate_of).collect();
        let is_alone = !fates.iter().any(|(_, fate)| fate.counts());
        let init = evidence.facts(evidence.init).map_or(Reaction::Unknown, |init| init.reaction(signum));
        fates.push((evidence.init, Fate::Init(forecast.conduct, init)));
        fates.sort_unstable_by_key(|(pid, _)| *pid);

        let is_counted = |fate: &Fate| fate.counts() || is_alone && fate.counts_alone();
        let counted: Vec<(Pid, Fate)> = fates.iter().filter(|(_, fate)| is_counted(fate)).copied().collect();
        let count = |is_so: &dyn Fn(Fate) -> bool| counted.iter().filter(|(_, fate)| is_so(*fate)).count();
        let pids: Vec<Pid> = counted.iter().map(|(pid, _)| *pid).collect();
        Self {
            total: counted.len(),
            never: count(&Fate::is_never),
            unknown: count(&|fate| fate == Fate::Unknown),
            interrupted: interrupted(evidence, &forecast, signum),
            waits: is_alone || waits(scenario, &forecast, &pids),
            fates,
            forecast,
        }
    }

    /// Does every process get the signal, no worker beside its master, and does the container wait for all of them?
    pub(crate) fn is_good(&self) -> bool {
        self.never == 0 && self.unknown == 0 && self.interrupted.is_empty() && self.waits
    }

    /// Those with this fate.
    pub(crate) fn with(&self, is_so: impl Fn(Fate) -> bool) -> Vec<Pid> {
        self.fates.iter().filter(|(_, fate)| is_so(*fate)).map(|(pid, _)| *pid).collect()
    }
}

/// Does the init wait for all of these? Or else for its command, which is an init that does, or is all that there is.
fn waits(scenario: Scenario<'_>, forecast: &Forecast, all: &[Pid]) -> bool {
    let mut init = scenario.evidence.init;
    // No further down than there are processes.
    for _ in all {
        let family = descendants_of(scenario.tree, [init]);
        let has_all = all.iter().all(|&pid| pid == init || family.contains(&pid));
        match (forecast.rest_of(init), scenario.evidence.main_of(init)) {
            (Rest::IsAwaited(_), _) if has_all => return true,
            (Rest::IsLeft, Some(main)) if has_all => {
                if all.iter().all(|&pid| pid == init || pid == main) {
                    return true;
                }
                let rules = scenario.evidence.facts(main).and_then(|facts| facts.rules.as_ref());
                if !matches!(rules, Some(Rules::Ours(_) | Rules::Known(_))) {
                    return false;
                }
                init = main;
            }
            (Rest::IsAwaited(_) | Rest::IsLeft, _) => return false,
        }
    }
    true
}

/// Masters that shut their workers down, which get the signal at once, too. The master is the command, or a start script runs it.
fn interrupted(evidence: &Evidence, forecast: &Forecast, signum: Signum) -> BTreeMap<Pid, Vec<Pid>> {
    let mut interrupted = BTreeMap::<Pid, Vec<Pid>>::new();
    let arrival = |facts: &Facts| {
        let mut arrivals = forecast.arrivals_at(facts.process.pid).copied();
        arrivals.find(|arrival| arrival.when == When::AtOnce && facts.handles(arrival.signum))
    };
    let is_shell = |pid| evidence.facts(pid).is_some_and(|facts| matches!(facts.rules, Some(Rules::Shell)));
    for worker in evidence.others().filter(|_| signum.shuts_down()) {
        let Some(master) = evidence.facts(worker.process.parent) else { continue };
        let (Some(first), Some(second)) = (arrival(master), arrival(worker)) else { continue };
        let main = evidence.main_of(first.by);
        let is_command = main == Some(master.process.pid)
            || main == Some(master.process.parent) && is_shell(master.process.parent);
        let is_program = matches!(master.rules, Some(Rules::Unknown));
        let is_worker = worker.process.group == master.process.group && worker.resembles(master);
        if is_command && is_program && is_worker && first == second {
            interrupted.entry(master.process.pid).or_default().push(worker.process.pid);
        }
    }
    interrupted
}

fn fate(evidence: &Evidence, facts: &Facts, forecast: &Forecast) -> Fate {
    let pid = facts.process.pid;
    let first = forecast.arrivals_at(pid).min_by_key(|arrival| arrival.when);
    let Some(arrival) = first.filter(|_| facts.process.state != State::Zombie) else {
        return match facts.process.state {
            State::Zombie => Fate::Zombie,
            State::Alive | State::Stopped | State::Hidden if evidence.is_plumbing(pid) => Fate::Plumbing,
            State::Alive | State::Stopped | State::Hidden => Fate::Never,
        };
    };
    let reaction = facts.reaction(arrival.signum);
    let Some(acts_from) = forecast.acts_from(facts, arrival.signum) else {
        return Fate::GetsStopped(reaction, arrival.when);
    };
    let when = arrival.when.max(acts_from);
    match facts.rules {
        Some(Rules::Ours(_) | Rules::Known(_) | Rules::Unreadable(_)) => Fate::Forwards(when),
        Some(Rules::Pausing | Rules::Shell | Rules::Unknown) | None => Fate::Gets(reaction, when),
    }
}
