//! Who would get the signal?
//!
//! The policy that decides while the command runs is asked here, too, with the settings of the init that runs, and what it
//! wants done is not done but noted (`run`). An init below, which gets the signal, passes it on by its own settings. No
//! input or output, and no signal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::evidence::Evidence;
use super::facts::Facts;
use super::handling::Reaction;
use super::inits::Rules;
use crate::options::forward::Forward;
use crate::policy::Recipient;
use crate::process::descendants::Tree;
use crate::signal::Signum;
pub(crate) use remedy::Remedy;
use run::Run;

mod remedy;
mod run;

/// How things stand, or how they would.
#[derive(Clone, Copy)]
pub(crate) struct Scenario<'a> {
    pub(crate) evidence: &'a Evidence,
    pub(crate) tree: &'a Tree,
    pub(crate) now: Instant,
    /// What is changed, if anything is.
    pub(crate) remedy: Option<Remedy>,
    pub(crate) command: Command,
}

/// What about the command of the init?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    AsSeen,
    /// Whoever looks like it is an orphan.
    HasEnded,
}

/// Which init?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// The one that is asked about.
    Outer,
    /// One below it.
    Inner,
}

/// When a signal arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum When {
    AtOnce,
    /// When the command has ended.
    AfterMain,
    /// When its parent has exited, or half of the time of a drain is over.
    AfterParent,
    /// When the processes that write to its standard input have exited.
    AfterWriters,
}

/// A signal that a process would get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) signum: Signum,
    /// The init that sends it.
    pub(crate) by: Pid,
    pub(crate) when: When,
    /// Whether the init keeps it until the writers have exited.
    pub(crate) is_kept: bool,
}

/// What the init itself does with the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conduct {
    Forwards(Signum),
    /// A rewrite says so.
    Drops,
    /// It can't be forwarded: it acts before the init sees it, or it is for the init.
    Keeps,
    /// It forwards nothing.
    OnlyActs,
    Unknown,
}

/// What becomes of those that are left when the command of an init has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// The init waits for them, until then.
    IsAwaited(Deadline),
    /// It doesn't.
    IsLeft,
}

/// When an init kills what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    Never,
    AfterSignal(Duration),
    AfterMain(Duration),
}

/// What would happen.
#[derive(Debug)]
pub(crate) struct Forecast {
    pub(crate) conduct: Conduct,
    /// For how long the init holds the signal.
    pub(crate) held: Option<Duration>,
    /// Does the signal suspend the init?
    pub(crate) suspends: bool,
    /// When the init kills everybody, its command included.
    pub(crate) kills: Deadline,
    arrivals: BTreeMap<Pid, Vec<Arrival>>,
    /// Those whom an init may not signal (kill(2), EPERM).
    pub(crate) refused: BTreeSet<Pid>,
    /// It isn't known whether these pass signals on to those below them.
    pub(crate) unknown: Vec<Pid>,
    /// What these leave behind may be found in time by an init that goes through all its descendants, or not.
    pub(crate) racing: BTreeSet<Pid>,
    /// What becomes of the rest, for each init that gets the signal.
    rests: BTreeMap<Pid, Rest>,
    /// Those that are stopped and get SIGCONT, and when.
    woken: BTreeSet<(Pid, When)>,
    /// Those that end by it, sooner or later.
    pub(crate) gone: BTreeSet<Pid>,
    /// Does an init go through all its descendants?
    walks: bool,
}

/// Inits below inits: deeper than this nobody looks.
const DEEPEST: u8 = 100;

impl Forecast {
    /// What would come of a signal to the init.
    pub(crate) fn of(scenario: Scenario<'_>, signum: Signum) -> Self {
        let mut forecast = Self {
            conduct: Conduct::Unknown,
            held: None,
            suspends: false,
            kills: Deadline::Never,
            arrivals: BTreeMap::new(),
            refused: BTreeSet::new(),
            unknown: Vec::new(),
            racing: BTreeSet::new(),
            rests: BTreeMap::new(),
            woken: BTreeSet::new(),
            gone: BTreeSet::new(),
            walks: false,
        };
        let message = SentSignal { signum, asks_to_end: signum.shuts_down() };
        let to = To { init: scenario.evidence.init, when: When::AtOnce, depth: 0 };
        forecast.conduct = forecast.signal(scenario, to, message).conduct;
        if forecast.walks {
            forecast.racing.clone_from(&forecast.gone);
        }
        forecast
    }

    fn add_arrival(&mut self, pid: Pid, arrival: Arrival) {
        self.arrivals.entry(pid).or_default().push(arrival);
    }

    /// The signals that a process gets, in their order.
    pub(crate) fn arrivals_at(&self, pid: Pid) -> impl Iterator<Item = &Arrival> {
        self.arrivals.get(&pid).into_iter().flatten()
    }

    /// What becomes of the rest when the command of this init has ended.
    pub(crate) fn rest_of(&self, init: Pid) -> Rest {
        self.rests.get(&init).copied().unwrap_or(Rest::IsLeft)
    }

    /// When does it go on, so that it can act on this signal? `None` where it stays stopped.
    pub(crate) fn acts_from(&self, facts: &Facts, signum: Signum) -> Option<When> {
        if !facts.is_stopped() || matches!(signum, Signum::CONT | Signum::KILL) {
            return Some(When::AtOnce);
        }
        let pid = facts.process.pid;
        self.woken.range((pid, When::AtOnce)..=(pid, When::AfterWriters)).next().map(|&(_, when)| when)
    }

    /// An init has got a signal.
    fn signal(&mut self, scenario: Scenario<'_>, to: To, message: SentSignal) -> Passed {
        let stays = |conduct| Passed { conduct, end: End::Never };
        let evidence = scenario.evidence;
        let Some(facts) = evidence.facts(to.init).filter(|_| to.depth < DEEPEST) else {
            self.unknown.push(to.init);
            return stays(Conduct::Unknown);
        };
        let position = if to.init == evidence.init { Position::Outer } else { Position::Inner };
        let main = evidence
            .main_of(to.init)
            .filter(|_| position == Position::Inner || scenario.command == Command::AsSeen);
        match (&facts.rules, scenario.remedy) {
            (Some(Rules::Ours(ours)), remedy) => {
                let own = || ours.config.settings.clone();
                let settings = remedy.map_or_else(own, |remedy| remedy.apply(ours, position));
                Run { forecast: self, scenario, position, main, to }.of_ours(settings, message)
            }
            (Some(Rules::Known(_)), Some(remedy)) if position == Position::Outer => {
                Run { forecast: self, scenario, position, main, to }
                    .of_ours(remedy.of_ours_instead(), message)
            }
            (Some(Rules::Known(known)), _) => {
                if !known.forwards(message.signum) {
                    return stays(Conduct::Keeps);
                }
                let conduct = Conduct::Forwards(message.signum);
                let Some(main) = main else { return stays(conduct) };
                let recipient = match known.forward {
                    Forward::Child => Recipient::Process(main),
                    Forward::Group | Forward::Tree => Recipient::Group(main),
                };
                let end = Run { forecast: self, scenario, position, main: Some(main), to }
                    .send_directly(message, recipient);
                Passed { conduct, end }
            }
            (Some(Rules::Pausing), _) => stays(Conduct::OnlyActs),
            (Some(Rules::Shell | Rules::Unreadable(_) | Rules::Unknown) | None, _) => {
                // What doesn't come to it isn't passed on.
                let comes = !matches!(facts.reaction(message.signum), Reaction::Drops | Reaction::Ignores);
                let is_shell = matches!(facts.rules, Some(Rules::Shell));
                let may_pass_it_on = comes && !(is_shell && facts.reaction(message.signum) == Reaction::Dies);
                if may_pass_it_on {
                    self.unknown.push(to.init);
                }
                stays(if is_shell { Conduct::OnlyActs } else { Conduct::Unknown })
            }
        }
    }
}

/// Which init gets a signal, when, and how many there are above it.
#[derive(Clone, Copy)]
struct To {
    init: Pid,
    when: When,
    depth: u8,
}

/// A signal, and what it means.
#[derive(Clone, Copy)]
struct SentSignal {
    signum: Signum,
    /// Is whoever gets it to end? That is so also where it stands for one that says so, by a rewrite.
    asks_to_end: bool,
}

/// What an init makes of a signal.
struct Passed {
    conduct: Conduct,
    /// Does the init end by it?
    end: End,
}

/// Does a process end by a signal?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Never,
    /// At once, or in its own time.
    Comes,
}

impl End {
    /// Does a program that does this with a signal end by it? Whoever catches one may do anything, but some mean that it is to
    /// end.
    fn by(reaction: Reaction, message: SentSignal) -> Self {
        match reaction {
            Reaction::Dies => Self::Comes,
            Reaction::Catches | Reaction::Awaits | Reaction::Reads | Reaction::AwaitsOrDies => {
                if message.asks_to_end { Self::Comes } else { Self::Never }
            }
            Reaction::Ignores
            | Reaction::Blocks
            | Reaction::BlocksOrReads
            | Reaction::Stops
            | Reaction::GoesOn
            | Reaction::DoesNothing
            | Reaction::Drops
            | Reaction::Unknown => Self::Never,
        }
    }
}
