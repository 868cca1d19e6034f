//! Ways in which inits lose signals, hang or die (docs/hazards.md): a scenario each.
//!
//! A scenario works with any init, and panics if the init misbehaves. Each runs with the init under
//! test as PID 1 of a namespace and as a plain process. The table of the peers runs each with all
//! inits as PID 1.

mod child_exits;
mod descriptors;
mod sandboxes;
mod signals;
mod table;
mod terminals;

use std::path::PathBuf;

use crate::support::differences::tests_the_original;
use crate::support::{Start, can_have_pid_namespaces, init_under_test};

/// An init, in a setting and a mode.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    init: Init,
    setting: Setting,
    mode: Mode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Init {
    UnderTest,
    Original,
    Tini,
    Catatonit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    Pid1,
    Plain,
}

/// Recipient of a forwarded signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Group,
    Child,
}

const BOTH: &[Mode] = &[Mode::Group, Mode::Child];
const GROUP: &[Mode] = &[Mode::Group];
const CHILD: &[Mode] = &[Mode::Child];

impl Init {
    fn path(self) -> PathBuf {
        match self {
            Self::UnderTest => init_under_test(),
            Self::Original => crate::support::original().unwrap_or_default(),
            Self::Tini => "/usr/bin/tini".into(),
            Self::Catatonit => "/usr/bin/catatonit".into(),
        }
    }

    /// Its options, up to the command.
    fn options(self, mode: Mode, verbose: bool) -> Vec<&'static str> {
        let (group, child, say): (&[&str], &[&str], &[&str]) = match self {
            Self::UnderTest | Self::Original => (&[], &["-c"], &["-v"]),
            // As a subreaper, so that it isn't only as PID 1 that it gets the orphans.
            Self::Tini => (&["-s", "-g"], &["-s"], &["-vvv"]),
            // catatonit prints nothing.
            Self::Catatonit => (&["-g"], &[], &[]),
        };
        let mode = match mode {
            Mode::Group => group,
            Mode::Child => child,
        };
        let say = if verbose { say } else { &[] };
        [say, mode, &["--"]].concat()
    }
}

impl Case {
    /// The init, ready to be given its command.
    fn start(self) -> Start {
        self.start_with(false)
    }

    /// The same, telling all that it does.
    fn start_verbose(self) -> Start {
        self.start_with(true)
    }

    fn start_with(self, verbose: bool) -> Start {
        self.place(Start::init(&self.init.path()).words(self.init.options(self.mode, verbose)))
    }

    /// A program of this setting.
    fn place(self, start: Start) -> Start {
        match self.setting {
            Setting::Pid1 => start.in_namespace(),
            Setting::Plain => start,
        }
    }
}

/// Row of the table.
pub struct Row {
    number: u8,
    title: &'static str,
    test: &'static str,
    modes: &'static [Mode],
    scenario: fn(Case),
}

macro_rules! rows {
    ($($number:literal $title:literal $modes:ident $module:ident::$test:ident)*) => {
        /// All of them.
        const ROWS: &[Row] = &[$(Row {
            number: $number,
            title: $title,
            test: stringify!($test),
            modes: $modes,
            scenario: $module::$test,
        }),*];

        $(
            #[test]
            fn $test() {
                in_every_setting($modes, $module::$test);
            }
        )*
    };
}

rows! {
    1 "A signal comes before the command's exec" BOTH signals::signal_before_exec_is_not_lost
    2 "SIGCHLD is ignored by whoever started the init" BOTH child_exits::ignored_sigchld_hides_no_exit
    3 "Many processes end in the same moment" BOTH child_exits::simultaneous_exits_are_all_reaped
    4 "A child asks to be traced" BOTH child_exits::traced_child_resumes
    5 "A signal may not be sent (EPERM)" BOTH signals::signal_refused_with_eperm_is_logged_and_ends_nothing
    6 "One member of a group may be signalled, another may not" GROUP signals::group_member_refused_with_eperm_is_logged
    7 "The command is stopped and asked to end" BOTH signals::stopped_command_exits_on_a_termination_signal
    8 "Real-time signals" BOTH signals::real_time_signals_are_forwarded_and_reported
    9 "The group is signalled when its leader was reaped" GROUP signals::pid_of_a_reaped_process_is_never_signalled
    10 "stderr is closed, full, or a pipe without a reader" BOTH descriptors::broken_stderr_changes_nothing
    11 "stdin, stdout or stderr is closed" BOTH descriptors::closed_descriptor_stays_closed
    12 "SIGPIPE and other dispositions" BOTH descriptors::command_starts_with_default_dispositions
    13 "fork fails" BOTH sandboxes::failed_fork_is_reported
    14 "exec fails" BOTH sandboxes::failed_exec_is_reported
    15 "Ctrl-C where command and init share the terminal" CHILD terminals::key_on_a_shared_terminal_reaches_command_once
    16 "SIGHUP after the hand-off of the terminal" GROUP terminals::genuine_hangup_after_hand_off_reaches_command
    17 "stdin is redirected, the terminal is there" GROUP terminals::command_gets_the_terminal_with_redirected_stdin
    18 "TOSTOP and debug output" BOTH terminals::init_output_with_tostop_never_stops_the_init
    19 "Descriptors above 2" BOTH descriptors::init_closes_descriptors_above_2
    20 "LISTEN_PID names the init" BOTH descriptors::listen_pid_is_set_to_the_command
    21 "Children from before the init's exec" BOTH child_exits::inherited_child_is_not_mistaken_for_the_command
    22 "A thousand orphans, a burst of signals" BOTH child_exits::thousand_orphans_are_reaped_and_no_signal_is_lost
    23 "prctl is refused" BOTH sandboxes::refused_prctl_changes_nothing
    24 "/proc is not there" BOTH sandboxes::init_works_without_proc
    25 "A newer system call is refused" BOTH sandboxes::refused_new_system_call_changes_nothing
}

/// Runs a scenario as PID 1 and as a plain process.
fn in_every_setting(modes: &[Mode], scenario: fn(Case)) {
    if tests_the_original() {
        // The table of the peers, another test, has the results of the original.
        return;
    }
    for &mode in modes {
        scenario(Case { init: Init::UnderTest, setting: Setting::Plain, mode });
    }
    if can_have_pid_namespaces() {
        for &mode in modes {
            scenario(Case { init: Init::UnderTest, setting: Setting::Pid1, mode });
        }
    }
}
