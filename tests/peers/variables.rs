//! Their variables, and ours beside them.

use super::{Names, PEERS, Peer};
use crate::support::{Order, Property, Report, Start, can_have_pid_namespaces, procfs, start_script};

#[test]
fn verbosity_is_read_from_tini_variable_then_option() {
    let Some(names) = Names::new() else { return };
    for (variable, options, speaks) in [
        (None, &["-v"][..], true),
        (Some("1"), &["-v"], false),
        (Some("0"), &["-vvv"], false),
        (Some("2"), &[], true),
        (Some("x"), &["-v"], false),
        (None, &[], false),
    ] {
        let start = names.init("tini").words(options).word("--").probe(Order::Exit(3));
        let outcome =
            variable.into_iter().fold(start, |start, text| start.variable("TINI_VERBOSITY", text)).run();
        outcome.expect_code(3);
        assert_eq!(
            outcome.stderr().contains("Child exited with status 3. Goodbye."),
            speaks,
            "{variable:?} {outcome}"
        );
    }
}

#[test]
fn dumb_init_verbosity_variable_overrides_tini_variable() {
    let Some(names) = Names::new() else { return };
    for (name, theirs, ours) in [("tini", "TINI_VERBOSITY", "1"), ("catatonit", "CATATONIT_DEBUG", "2")] {
        let start = names.init(name).variable(theirs, "1").variable("DUMB_INIT_DEBUG", ours);
        let running = start.word("--").probe(Order::Record(64)).start();
        running.wait_for_line(Report::Ready);
        running.signal(64);
        let outcome = running.outcome();
        outcome.expect_code(42);
        assert!(outcome.stderr().contains("Received signal 64."), "{outcome}");
        assert_eq!(outcome.stderr().contains(" comes from PID "), ours == "2", "{outcome}");
    }
}

#[test]
fn signals_dropped_by_a_personality_can_be_forwarded() {
    let Some(names) = Names::new() else { return };
    for peer in PEERS {
        let start = names.init(peer.name()).variable("DUMB_INIT_REWRITE", "TTIN:TTIN");
        let running = start.word("--").probe(Order::Record(64)).start();
        running.wait_for_line(Report::Ready);
        running.signal(libc::SIGTTIN);
        running.signal(64);
        running.outcome().expect_code(42).expect_reports(&[Report::Ready, Report::Got(21), Report::Got(64)]);
    }
}

#[test]
fn dumb_init_variables_apply_under_every_name() {
    let Some(names) = Names::new() else { return };
    for peer in PEERS {
        let init = || names.init(peer.name()).word("--");
        init().variable("DUMB_INIT_EXIT_MAP", "7:3").probe(Order::Exit(7)).run().expect_code(3);
        let outcome = init().variable("DUMB_INIT_DRAIN", "soon").probe(Order::Exit(7)).run();
        outcome.expect_code(1);
        assert!(outcome.stderr().contains("variable DUMB_INIT_DRAIN takes "), "{outcome}");
        // These inits do by default what this variable requests.
        let outcome = init().variable("DUMB_INIT_SETSID", "0").probe(Order::Report).run();
        assert_eq!(outcome.report(Property::Pgid), outcome.report(Property::Pid), "{outcome}");
        let start = init().variable("DUMB_INIT_SETSID", "0").variable("DUMB_INIT_DEBUG", "1");
        let stderr = start.probe(Order::Exit(7)).run().stderr();
        assert!(
            stderr.contains("] Ignoring DUMB_INIT_SETSID=0: it has no effect under this name.\n"),
            "{stderr}"
        );
        // The option of the init beats it, and it beats the init's variable.
        if peer == Peer::Tini {
            let start = |options: &[&str]| {
                let start = names.init("tini").words(options).word("--").variable("DUMB_INIT_DEBUG", "2");
                start.variable("DUMB_INIT_FORWARD", "tree").variable("TINI_KILL_PROCESS_GROUP", "1")
            };
            for (options, who) in [
                (&["-g"][..], "the process group of its child: -g on its command line"),
                (&[], "every descendant: DUMB_INIT_FORWARD=tree in its environment"),
            ] {
                let running = start(options).probe(Order::Record(64)).start();
                running.wait_for_line(Report::Ready);
                let told = explain(&running);
                assert!(told.contains(who), "{told}");
                running.signal(64);
                running.outcome().expect_code(42);
            }
        }
    }
}

/// Sentences of `--explain` about a running init.
fn explain(running: &crate::support::Running) -> String {
    let pid = running.pid().to_string();
    crate::support::Start::init(&crate::support::built_init())
        .words(["--explain", "--pid", &pid])
        .run()
        .stderr()
}

#[test]
fn explain_follows_the_personality() {
    let Some(names) = Names::new() else { return };
    for (peer, options, variable, who) in [
        (Peer::Tini, &[][..], None, "tini (PID {}) forwards to its direct child alone\n"),
        (
            Peer::Tini,
            &["-g"],
            None,
            "tini (PID {}) forwards to the process group of its child: -g on its command line\n",
        ),
        (
            Peer::Tini,
            &[],
            Some("TINI_KILL_PROCESS_GROUP"),
            "tini (PID {}) forwards to the process group of its child: TINI_KILL_PROCESS_GROUP in its environment\n",
        ),
        (Peer::Catatonit, &[], None, "catatonit (PID {}) forwards to its direct child alone\n"),
    ] {
        let start = names.init(peer.name()).words(options).word("--").probe(Order::Record(64));
        let running = variable.into_iter().fold(start, |start, name| start.variable(name, "")).start();
        running.wait_for_line(Report::Ready);
        let told = explain(&running);
        assert!(told.starts_with(&who.replace("{}", &running.pid().to_string())), "{told}");
        running.signal(64);
        running.outcome().expect_code(42);
    }
}

#[test]
fn explain_recognises_a_paused_init() {
    let Some(names) = Names::new() else { return };
    let Some(pair) = names.pair(Peer::Catatonit) else { return };
    for init in pair {
        let running = Start::program(init).word("-P").start();
        procfs::wait_until("it waits for a signal", || {
            let place = std::fs::read_to_string(format!("/proc/{}/wchan", running.pid())).unwrap_or_default();
            ["sigtimedwait", "signalfd"].iter().any(|call| place.contains(call))
        });
        let told = explain(&running);
        let name = format!("catatonit (PID {})", running.pid());
        let text = format!("{name} runs no command, and forwards nothing: SIGTERM and SIGINT end it\n");
        assert!(told.starts_with(&text), "{told}");
        running.signal(libc::SIGTERM);
        running.outcome().expect_code(0);
    }
}

#[test]
fn drain_variable_fixes_start_script_under_every_name() {
    let Some(names) = Names::new() else { return };
    if !can_have_pid_namespaces() {
        return;
    }
    let script = start_script::write(&names.0);
    for peer in PEERS {
        let running = names
            .init(peer.name())
            .in_namespace()
            .variable("DUMB_INIT_DRAIN", "20s")
            .word("--")
            .word(&script)
            .start();
        start_script::wait_for_all(&running);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(143);
        start_script::expect_all_three(&outcome.stdout());
    }
}
