//! Signals, groups, orphans and exit statuses.

use std::path::Path;

use nix::unistd::Pid;

use super::{Names, PEERS, Peer};
use crate::pid_1::{expect_orphans_to_be_reaped, expect_to_come_amid_deaths, flood};
use crate::support::{
    Condition, Order, Property, Report, Running, Start, can_have_pid_namespaces, init_under_test, probe,
    procfs, send, with_probe,
};

/// Those that the peers act on themselves: the signals of errors.
fn ends_the_peer(number: i32) -> bool {
    let of_errors =
        [libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV, libc::SIGSYS];
    of_errors.contains(&number) || [libc::SIGKILL, libc::SIGSTOP, 32, 33].contains(&number)
}

/// Reports of a command after a signal to its init, and the exit status.
fn life(init: &Path, options: &[&str], number: i32, command: &[&str]) -> (i32, String) {
    let words: Vec<_> =
        std::iter::once(probe().into_os_string()).chain(command.iter().map(Into::into)).collect();
    let running = Start::program(init).words(options).word("--").words(words).start();
    running.wait_for_line(Report::Ready);
    let pid = running.command_pid();
    running.signal(number);
    // Only tini's is stopped; the others' commands get nothing of it.
    if command == ["hang"] && number == libc::SIGTSTP && init.ends_with("tini") {
        procfs::wait_for_state(pid, 'T');
        running.signal(libc::SIGCONT);
    }
    let does_nothing = [
        libc::SIGCHLD,
        libc::SIGCONT,
        libc::SIGURG,
        libc::SIGWINCH,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
    ];
    if command != ["hang"] || does_nothing.contains(&number) {
        // The kernel delivers the highest pending signal last.
        running.signal(64);
    }
    let outcome = running.outcome();
    (outcome.code(), outcome.stdout())
}

#[test]
fn signals_in_every_mode_behave_like_the_peer() {
    let Some(names) = Names::new() else { return };
    for peer in PEERS {
        let Some([ours, theirs]) = names.pair(peer) else { return };
        for number in (1..=64).filter(|&number| !ends_the_peer(number)) {
            for options in [&[][..], &["-g"]] {
                for command in [&["record", "64"][..], &["hang"]] {
                    let [here, there] = [&ours, &theirs].map(|init| life(init, options, number, command));
                    assert_eq!(here, there, "{}: signal {number}, {options:?}, {command:?}", peer.name());
                }
            }
        }
    }
}

#[test]
fn signals_that_peers_handle_themselves_are_forwarded() {
    let Some(names) = Names::new() else { return };
    for peer in PEERS {
        for number in (1..=64).filter(|&number| ends_the_peer(number)) {
            if ![libc::SIGKILL, libc::SIGSTOP].contains(&number) {
                let init = names.link("ours", &crate::support::init_under_test(), peer.name());
                let (code, stdout) = life(&init, &[], number, &["record", "64"]);
                assert_eq!((code, stdout), (42, format!("ready\ngot {number}\ngot 64\n")), "{}", peer.name());
            }
        }
    }
}

/// Two that record signals, of which the first is the init's child, and the second in its group.
fn two(start: Start) -> Running {
    let probe = probe();
    let script = "\"$0\" record 64 & exec \"$0\" record 64";
    let running = start.words(["--", "sh", "-c", script]).word(probe).start();
    running.wait_for_stdout("both", |text| text.matches(&Report::Ready.to_string()).count() == 2);
    running
}

#[test]
fn group_is_signalled_only_with_the_option() {
    let Some(names) = Names::new() else { return };
    for peer in PEERS {
        let mut cases: Vec<(Vec<&str>, Vec<&str>, usize)> =
            vec![(vec![], vec![], 1), (vec!["-g"], vec![], 2)];
        if peer == Peer::Tini {
            cases.push((vec![], vec!["TINI_KILL_PROCESS_GROUP"], 2));
        }
        for (options, variables, count) in cases {
            let start = names.init(peer.name()).words(options);
            let start = variables.into_iter().fold(start, |start, name| start.variable(name, ""));
            let mut running = two(start);
            running.signal(libc::SIGUSR1);
            running.wait_for_stdout("the signal", |text| {
                text.matches(&Report::Got(10).to_string()).count() == count
            });
            // A second signal shows that the other process did not receive the first.
            let other = running.descendants().into_iter().find(|&pid| {
                ![Some(running.pid()), None].contains(&procfs::parent(pid)) && pid != running.pid()
            });
            send(other.expect("the other one"), libc::SIGUSR2);
            running.wait_for_line(Report::Got(12));
            assert_eq!(running.stdout().matches(&Report::Got(10).to_string()).count(), count, "{running}");
            // It is not asked to end when the command has.
            send(running.command_pid(), 64);
            assert_eq!(running.wait().code(), Some(42), "{running}");
            send(other.expect("the other one"), 64);
            running
                .wait_for_stdout("its end", |text| text.matches(&Report::Got(64).to_string()).count() == 2);
            assert!(!running.stdout().contains(&Report::Got(15).to_string()), "{running}");
        }
    }
}

#[test]
fn command_leads_a_group_in_the_init_session() {
    let Some(names) = Names::new() else { return };
    for peer in PEERS {
        for options in [&[][..], &["-g"]] {
            let outcome = names.init(peer.name()).words(options).word("--").probe(Order::Report).run();
            outcome.expect_code(5);
            assert_eq!(outcome.report(Property::Pgid), outcome.report(Property::Pid), "{outcome}");
            assert_ne!(outcome.report(Property::Sid), outcome.report(Property::Pid), "{outcome}");
            assert_eq!(outcome.report(Property::Blocked), "", "{outcome}");
        }
    }
}

#[test]
fn pid_1_reaps_every_orphan() {
    let Some(names) = Names::new() else { return };
    if !can_have_pid_namespaces() {
        return;
    }
    for peer in PEERS {
        expect_orphans_to_be_reaped(names.init(peer.name()).word("--"));
    }
}

#[test]
fn command_inherits_ignored_and_blocked_signals() {
    let Some(names) = Names::new() else { return };
    for peer in PEERS {
        let Some(pair) = names.pair(peer) else { return };
        let [here, there] = pair.map(|init| {
            let start = Start::program(init)
                .condition(Condition::Ignored(1))
                .condition(Condition::Ignored(40))
                .condition(Condition::Blocked(10));
            let outcome = start.word("--").probe(Order::Report).run();
            [Property::Dispositions, Property::Blocked].map(|name| outcome.report(name))
        });
        assert!(here[0].contains('1') && here[1].contains("10"), "{here:?}");
        if peer == Peer::Tini {
            assert_eq!(here, there);
        } else {
            // The others that its command has blocked are its own doing.
            assert_eq!((&here[0], here[1].as_str()), (&there[0], "10"));
        }
    }
}

/// Starts an init of this name that pauses as PID 1 and logs signals. It is ready on return: before its
/// exec it is unshare(1), and the kernel drops signals that PID 1 does not handle.
fn pause(names: &Names, name: &str) -> Running {
    let running = names.init(name).in_namespace().variable("DUMB_INIT_DEBUG", "1").word("-P").start();
    procfs::wait_until("it reports a signal", || {
        running.signal(libc::SIGHUP);
        running.stderr().contains("Received signal 1.")
    });
    running
}

#[test]
fn paused_init_forwards_signals_during_a_flood_of_exits() {
    let Some(names) = Names::new() else { return };
    if !can_have_pid_namespaces() {
        return;
    }
    let running = pause(&names, "catatonit");
    let pid = running.pid();
    let entered = Start::program("nsenter").words(crate::support::namespace_of(pid));
    let entered = entered.probe(Order::WaitingOrphans(200)).start();
    entered.wait_for_line(Report::Ready);
    flood(pid, || entered.descendants().into_iter().for_each(|process| send(process, libc::SIGUSR1)), 40);
    running.wait_for_debug_line("Received signal 40.");
    procfs::wait_until("all are reaped", || procfs::children(pid).is_empty());
    running.signal(libc::SIGTERM);
    let outcome = running.outcome();
    outcome.expect_code(0);
    expect_to_come_amid_deaths(&outcome, 40);
}

#[test]
fn stopped_command_is_resumed_for_a_termination_signal() {
    let Some(names) = Names::new() else { return };
    for peer in PEERS {
        let running = names.init(peer.name()).word("--").probe(Order::Hang).start();
        running.wait_for_line(Report::Ready);
        let command = running.command_pid();
        send(command, libc::SIGSTOP);
        procfs::wait_for_state(command, 'T');
        running.signal(libc::SIGTERM);
        running.outcome().expect_code(143);
    }
}

#[test]
fn closed_stdin_does_not_prevent_the_start() {
    let Some(names) = Names::new() else { return };
    for peer in PEERS {
        let start = names.init(peer.name()).condition(Condition::Closed(0)).variable("TINI_SUBREAPER", "");
        let start = start.word("--").probe(Order::Report);
        let outcome = start.run();
        outcome.expect_code(5).expect_stderr("");
    }
}

/// Script that leaves an orphan behind.
fn script_with_orphan() -> String {
    format!(r#"(sh -c 'echo "orphan $$"; exec probe {hang}' &); read line; exit 6"#, hang = Order::Hang)
}

#[test]
fn orphans_are_adopted_like_the_peer() {
    let Some(names) = Names::new() else { return };
    let script = with_probe(script_with_orphan());
    for (peer, options, variable, adopts) in [
        (Peer::Tini, &["-w"][..], None, false),
        (Peer::Tini, &["-s", "-w"], None, true),
        (Peer::Tini, &["-w"], Some("TINI_SUBREAPER"), true),
        (Peer::Tini, &["-s"], None, true),
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let start = names.init(peer.name()).words(options).words(["--", "sh", "-c", &script]);
        let start = variable.into_iter().fold(start, |start, name| start.variable(name, ""));
        let running = start.stdin(std::os::fd::OwnedFd::from(reader)).start();
        running.wait_for_line(Report::Ready);
        let stdout = running.stdout();
        let orphan = stdout.lines().find_map(|line| line.strip_prefix("orphan ")?.parse().ok());
        let orphan = Pid::from_raw(orphan.expect("the orphan"));
        let script = running.command_pid();
        procfs::wait_until("it is an orphan", || procfs::children(script).is_empty());
        assert_eq!(procfs::parent(orphan) == Some(running.pid()), adopts, "{options:?} {variable:?}");
        send(orphan, libc::SIGTERM);
        let names_them = options.contains(&"-w");
        if adopts && names_them {
            running.wait_for_debug_line(&format!("[tini] Reaped zombie process with pid={orphan}\n"));
        }
        drop(writer);
        let outcome = running.outcome();
        outcome.expect_code(6);
        let reports = outcome.stderr().matches("Reaped zombie process").count();
        assert_eq!(reports, usize::from(adopts && names_them), "{outcome}");
    }
}

/// The end of the first line of tini's warning, and of the next ones.
const NOT_REAPING: &str = "Tini is not running as PID 1 and isn't registered as a child subreaper.\n\
    Zombie processes will not be re-parented to Tini, so zombie reaping won't work.\n\
    To fix the problem, use the -s option or set the environment variable TINI_SUBREAPER to register Tini \
    as a child subreaper, or run Tini as PID 1.\n";

#[test]
fn warning_about_orphans_is_that_of_tini() {
    let Some(names) = Names::new() else { return };
    let warning = |program: &Path, place: fn(Start) -> Start, options: &[&str], (name, value)| {
        let start = place(Start::program(program)).variable(name, value);
        let outcome = start.words(options).word("--").probe(Order::Exit(3)).run();
        let stderr = outcome.expect_code(3).stderr();
        stderr.split_once("] ").map(|(_, text)| text.to_owned())
    };
    let plain = |start| start;
    let Some(pair) = names.pair(Peer::Tini) else { return };
    for program in pair {
        let unset = ("X", "");
        assert_eq!(warning(&program, plain, &[], unset).as_deref(), Some(NOT_REAPING), "{program:?}");
        assert_eq!(warning(&program, plain, &["-s"], unset), None, "{program:?}");
        assert_eq!(warning(&program, plain, &[], ("TINI_SUBREAPER", "")), None, "{program:?}");
        assert_eq!(warning(&program, plain, &[], ("TINI_VERBOSITY", "0")), None, "{program:?}");
        if can_have_pid_namespaces() {
            assert_eq!(warning(&program, Start::in_namespace, &[], unset), None, "{program:?}");
        }
    }
    // A drain adopts orphans. Only tini warns.
    let drain = ("DUMB_INIT_DRAIN", "1s");
    let [tini, catatonit] = ["tini", "catatonit"].map(|name| names.link("ours", &init_under_test(), name));
    assert_eq!(warning(&tini, plain, &[], drain), None);
    assert_eq!(warning(&catatonit, plain, &[], ("X", "")), None);
}

#[test]
fn highest_verbosity_logs_sigchld_like_tini() {
    let Some(names) = Names::new() else { return };
    for (value, is_logged) in [("3", true), ("2", false)] {
        let start = names.init("tini").variable("TINI_VERBOSITY", value);
        let outcome = start.word("--").probe(Order::Exit(3)).run();
        assert_eq!(outcome.stderr().contains("[tini] Received SIGCHLD\n"), is_logged, "{outcome}");
    }
}

#[test]
fn catatonit_adopts_orphans_by_default() {
    let Some(names) = Names::new() else { return };
    let running = names.init("catatonit").word("--").probe(Order::Orphans(20)).start();
    running.wait_for_line(Report::Ready);
    let pid = running.pid();
    procfs::wait_until("all are reaped", || procfs::children(pid).len() == 1);
    running.signal(libc::SIGTERM);
    running.outcome().expect_code(143);
}

#[test]
fn pause_runs_nothing_and_reaps_every_child() {
    let Some(names) = Names::new() else { return };
    if !can_have_pid_namespaces() {
        return;
    }
    for (name, number) in [
        ("catatonit", libc::SIGTERM),
        ("catatonit", libc::SIGINT),
        ("tini", libc::SIGINT),
        ("dumb-init", libc::SIGTERM),
    ] {
        let running = pause(&names, name);
        let pid = running.pid();
        // Other processes do not belong to it.
        for other in [libc::SIGTSTP, libc::SIGUSR1, 34] {
            running.signal(other);
            running.wait_for_debug_line(&format!("Received signal {other}."));
        }
        // As those do that share a pod's namespace.
        let namespace = crate::support::namespace_of(pid);
        // It is kept until they are reaped: its end would kill them.
        let mut entered = Start::program("nsenter")
            .words(&namespace)
            .words(["sh", "-c", "for i in 1 2 3 4 5; do (sh -c 'exit 3' &); done"])
            .start();
        assert_eq!(entered.wait().code(), Some(0), "{entered}");
        running.wait_for_debug_line("exited with exit status 3.");
        procfs::wait_until("all are reaped", || procfs::children(pid).is_empty());
        running.signal(number);
        running.outcome().expect_code(0);
    }
}
