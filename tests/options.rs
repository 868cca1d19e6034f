//! Options beyond the original, by flag and by variable: effect, precedence, and messages for
//! invalid values. `shutdown` has their effect on a shutdown.

use std::time::{Duration, Instant};

use dumb_init::options::table::DUMB_INIT;
use nix::unistd::getpid;

use crate::shutdown::find;
use crate::support::differences::{Original, wanted_difference};
use crate::support::{
    Condition, Order, Outcome, Property, Report, Scratch, Start, can_have_pid_namespaces, init, init_beyond,
    init_under_test, probe, procfs, send,
};

/// Runs a role of the probe's under the init.
fn run_any(variables: &[(&str, &str)], words: &[&str], command: &[&str]) -> Outcome {
    let start = init().words(words).word(probe()).words(command);
    variables.iter().fold(start, |start, (name, value)| start.variable(name, value)).run()
}

/// The same, unless the original is tested.
fn run(variables: &[(&str, &str)], words: &[&str], command: &[&str]) -> Option<Outcome> {
    init_beyond().map(|_| run_any(variables, words, command))
}

#[test]
fn invalid_value_is_refused_on_one_line_with_its_source() {
    let forward = "child, group or tree";
    let limit = "a duration (10s, 500ms, 2m, 1h, forever)";
    let delay = "SIGNAL:DURATION (TERM:5s) for a signal that can be held";
    let rule = "CODE, CODE:NEW, asked:CODE[:NEW] or deadline:CODE[:NEW] (143, 143:0), each from 0 to 255";
    let signal = "a signal (15, TERM, SIGTERM, RTMIN+3)";
    let rewrite = "SIGNAL:SIGNAL or SIGNAL:0 (15:3, TERM:QUIT, HUP:0)";
    let switch = "1 or 0";
    for (option, variable, good, is, values) in [
        ("forward", "FORWARD", "tree", forward, &["x", "Tree", "tree "][..]),
        ("drain", "DRAIN", "1s", limit, &["x", "10d", "-1s", "1 s", "never"]),
        ("kill-after", "KILL_AFTER", "1s", limit, &["10sec", "1e3"]),
        ("delay", "DELAY", "TERM:1s", delay, &["TERM", "TERM:forever", "TERM:5s,", "KILL:5s", "5s:TERM"]),
        (
            "exit-map",
            "EXIT_MAP",
            "1",
            rule,
            &["256", "143:", "143:0:1", "TERM", "asked:", "Asked:1", "asked:deadline:1", "later:1"],
        ),
        ("pre-stop-timeout", "PRE_STOP_TIMEOUT", "1s", limit, &["x", "-1s", "10d"]),
        ("parent-death-signal", "PARENT_DEATH_SIGNAL", "TERM", signal, &["0", "65", "TERMINATE"]),
        ("", "REWRITE", "", rewrite, &["15", "TERM:QUIT,", "32:3", "x:3"]),
        ("", "LINGER", "", switch, &["yes", "2", "true"]),
        ("", "SUBREAPER", "", switch, &["on"]),
    ] {
        for value in values {
            let variable = format!("DUMB_INIT_{variable}");
            let Some(outcome) = run(&[(&variable, value)], &[], &["report"]) else { return };
            let text = format!("dumb-init: variable {variable} takes {is}, not '{value}'\n");
            outcome.expect_code(1).expect_stdout("").expect_stderr(&text);
            if option.is_empty() {
                continue;
            }
            let text = format!("dumb-init: option '--{option}' takes {is}, not '{value}'\n");
            let words = [format!("--{option}"), (*value).to_owned()];
            let words = words.each_ref().map(String::as_str);
            let outcome = run(&[(&variable, value)], &words, &["report"]).unwrap();
            outcome.expect_code(1).expect_stdout("").expect_stderr(&text);
            // A second value does not make up for the first.
            let repeated =
                run(&[(&variable, "")], &[words[0], words[1], "-c", words[0], good], &["report"]).unwrap();
            repeated.expect_code(1).expect_stdout("").expect_stderr(&text);
        }
        // An empty value counts as not set.
        run(&[(&format!("DUMB_INIT_{variable}"), "")], &[], &["exit", "0"])
            .unwrap()
            .expect_code(0)
            .expect_stderr("");
    }
}

#[test]
fn invalid_program_is_refused_before_anything_starts() {
    const QUOTES: &str = "words whose quotes are closed";
    for (option, name) in [("--with", "DUMB_INIT_WITH"), ("--pre-stop", "DUMB_INIT_PRE_STOP")] {
        for (value, is) in [
            ("'a", QUOTES),
            ("a\\", "words without a backslash at the end"),
            ("$x", "words in which every $ is the beginning of ${NAME}"),
            ("#x", "a command"),
            ("${UNSET}", "a command"),
            (" ", "a command"),
            ("", "a command"),
        ] {
            // A helper that is valid comes before.
            let words = ["--with", "echo started", option, value];
            let Some(outcome) = run(&[], &words, &["report"]) else { return };
            let text = format!("dumb-init: option '{option}' takes {is}, not '{value}'\n");
            outcome.expect_code(1).expect_stdout("").expect_stderr(&text);
            // An empty variable, or an empty line, counts as not set.
            if value.trim().is_empty() && option == "--with" || value.is_empty() {
                run(&[(name, value)], &[], &["exit", "4"]).unwrap().expect_code(4).expect_stderr("");
                continue;
            }
            let text = format!("dumb-init: variable {name} takes {is}, not '{value}'\n");
            let outcome = run(&[(name, value)], &[], &["report"]).unwrap();
            outcome.expect_code(1).expect_stdout("").expect_stderr(&text);
            // A variable with an overriding option is not read.
            run(&[(name, value)], &[option, "sleep 99"], &["exit", "4"]).unwrap().expect_code(4);
        }
    }
    for (value, shown, is) in [("-", "-", "a command"), ("-'a", "'a", QUOTES)] {
        let text = format!("dumb-init: option '--with' takes {is}, not '{shown}'\n");
        let Some(outcome) = run(&[], &["--with", value], &["report"]) else { return };
        outcome.expect_code(1).expect_stdout("").expect_stderr(&text);
        let lines = format!("echo started\n{value}\n");
        let text = format!("dumb-init: variable DUMB_INIT_WITH takes {is}, not '{shown}'\n");
        let outcome = run(&[("DUMB_INIT_WITH", &lines)], &[], &["report"]).unwrap();
        outcome.expect_code(1).expect_stdout("").expect_stderr(&text);
    }
}

#[test]
fn long_options_beyond_the_original_have_no_abbreviation() {
    let own = DUMB_INIT.iter().filter(|row| !row.can_be_abbreviated).filter_map(|row| row.long);
    let shortened = own.clone().map(|name| &name[..name.len() - 1]).chain(["--d", "--l", "--kill"]);
    assert!(own.count() > 10);
    for word in shortened {
        let Some(outcome) = run(&[], &[word, "1"], &["exit", "0"]) else { return };
        let text = format!("dumb-init: unrecognized option '{word}'\n");
        outcome.expect_code(1).expect_stderr(&text);
    }
    // Abbreviations of the original stay valid: --s is --single-child.
    run(&[], &["--s"], &["exit", "0"]).unwrap().expect_code(0).expect_stderr("");
    let text = "dumb-init: option '--linger' doesn't allow an argument\n";
    run(&[], &["--linger=1"], &["exit", "0"]).unwrap().expect_code(1).expect_stderr(text);
    let text = "dumb-init: option '--drain' requires an argument\n";
    init_beyond().unwrap().word("--drain").run().expect_code(1).expect_stderr(text);
}

/// Whether the command leads its own session.
fn leads_a_session(variables: &[(&str, &str)], words: &[&str]) -> Option<bool> {
    let outcome = run(variables, words, &["report"])?;
    outcome.expect_code(5).expect_stderr("");
    Some(outcome.report(Property::Sid) == outcome.report(Property::Pid))
}

#[test]
fn forward_option_overrides_variable_overrides_setsid() {
    let (setsid, forward) = (("DUMB_INIT_SETSID", "0"), "DUMB_INIT_FORWARD");
    for (variables, words, expected) in [
        (&[][..], &["-c"][..], false),
        (&[], &["--forward", "child"], false),
        (&[], &["--forward", "group"], true),
        (&[], &["--forward=tree"], true),
        (&[], &["-c", "--forward", "group"], true),
        (&[], &["--forward", "group", "-c"], false),
        (&[], &["--forward", "tree", "--single-child"], false),
        (&[], &["--forward", "child", "--forward", "tree"], true),
        (&[(forward, "child")], &[], false),
        (&[(forward, "child")], &["--forward", "group"], true),
        (&[(forward, "group")], &["-c"], false),
        (&[setsid], &[], false),
        (&[setsid, (forward, "group")], &[], true),
        (&[setsid, (forward, "")], &[], false),
        (&[setsid, (forward, "child")], &["--forward", "tree"], true),
        (&[setsid], &["--forward", "group"], true),
        // It isn't looked at.
        (&[(forward, "nonsense")], &["--forward", "group"], true),
    ] {
        let Some(leads) = leads_a_session(variables, words) else { return };
        assert_eq!(leads, expected, "{variables:?} {words:?}");
    }
}

#[test]
fn exit_map_replaces_exit_status() {
    wanted_difference("16. Options and variables of our own", Original::Fails, || {
        let variable = "DUMB_INIT_EXIT_MAP";
        for (variables, words, command, expected) in [
            (&[][..], &["--exit-map", "143"][..], ["die", "15"], 0),
            (&[], &["--exit-map", "143:7"], ["die", "15"], 7),
            (&[], &["--exit-map", "143:7"], ["exit", "143"], 7),
            (&[], &["--exit-map", "143", "--exit-map", "130:3"], ["die", "2"], 3),
            (&[], &["--exit-map", "143,130:3"], ["die", "2"], 3),
            (&[], &["--exit-map", "143"], ["exit", "5"], 5),
            (&[(variable, "143,130:0")], &[], ["die", "2"], 0),
            (&[(variable, "143,130:0")], &[], ["die", "15"], 0),
            (&[(variable, "143")], &["--exit-map", "1:0"], ["die", "15"], 143),
            (&[], &["--exit-map", "0:9", "--exit-map", "9:1"], ["exit", "0"], 9),
        ] {
            let outcome = run_any(variables, words, &command);
            outcome.expect_code(expected);
        }
    });
}

#[test]
fn rewrite_accepts_names_and_real_time_signals() {
    wanted_difference("15. Rewrites", Original::Fails, || {
        for (variables, words, sent, expected) in [
            (&[][..], &["-r", "TERM:QUIT"][..], 15, 3),
            (&[], &["-r", "sigterm:rtmin+3"], 15, 37),
            (&[], &["-r", "RTMIN+3:TERM"], 37, 15),
            (&[], &["-r", "37:40"], 37, 40),
            (&[("DUMB_INIT_REWRITE", "HUP:0,TERM:USR2")], &[], 1, 64),
            (&[("DUMB_INIT_REWRITE", "HUP:0,TERM:USR2")], &[], 15, 12),
            (&[("DUMB_INIT_REWRITE", "15:12")], &["-r", "TERM:QUIT"], 15, 3),
            // All of it.
            (&[("DUMB_INIT_REWRITE", "TERM:USR2")], &["-r", "HUP:0"], 15, 15),
        ] {
            let start = init();
            let start = variables.iter().fold(start, |start, (name, value)| start.variable(name, value));
            let running = start.words(words).probe(Order::Record(64)).start();
            running.wait_for_line(Report::Ready);
            running.signal(sent);
            running.signal(64);
            let expected = if expected == 64 { String::new() } else { format!("got {expected}\n") };
            running.outcome().expect_code(42).expect_stdout(&format!("ready\n{expected}got 64\n"));
        }
    });
}

#[test]
fn ignored_text_after_a_rewrite_is_logged() {
    wanted_difference("15. Rewrites", Original::Fails, || {
        for (variables, words) in
            [(&[][..], &["-r", "15:3x"][..]), (&[("DUMB_INIT_REWRITE", "15:3x,1:0")], &[])]
        {
            let outcome = run_any(variables, words, &["exit", "6"]);
            let text = "[dumb-init] Ignoring what follows the second number in rewrite '15:3x'.\n";
            outcome.expect_code(6).expect_stderr(text);
        }
    });
}

#[test]
fn refused_and_ignored_text_is_escaped() {
    let (value, shown) =
        ("15:3\u{202e}\u{2028}\u{200b}\u{9b}\n\u{e9}", r"15:3\u{202e}\u{2028}\u{200b}\u{9b}\n\u{e9}");
    let shown = shown.replace(r"\u{e9}", "\u{e9}");
    for (variables, words, text) in [
        (&[("DUMB_INIT_DRAIN", value)][..], &[][..], "variable DUMB_INIT_DRAIN"),
        (&[], &["--drain", value], "option '--drain'"),
    ] {
        let Some(outcome) = run(variables, words, &["report"]) else { return };
        let line =
            format!("dumb-init: {text} takes a duration (10s, 500ms, 2m, 1h, forever), not '{shown}'\n");
        outcome.expect_code(1).expect_stdout("").expect_stderr(&line);
    }
    let Some(outcome) = run(&[], &["-r", value], &["exit", "6"]) else { return };
    let line = format!("[dumb-init] Ignoring what follows the second number in rewrite '{shown}'.\n");
    outcome.expect_code(6).expect_stderr(&line);
}

#[test]
fn durations_can_be_set_by_variable() {
    // The deadline passes, and the remaining process is killed.
    for (variables, words) in [
        (&[("DUMB_INIT_KILL_AFTER", "0.2")][..], &[][..]),
        (&[("DUMB_INIT_KILL_AFTER", "1h")], &["--kill-after", "200ms"]),
        (&[("DUMB_INIT_DELAY", "INT:1h,TERM:0.1s"), ("DUMB_INIT_KILL_AFTER", "0.1s")], &[]),
    ] {
        let Some(start) = init_beyond() else { return };
        let before = Instant::now();
        let start = variables.iter().fold(start, |start, (name, value)| start.variable(name, value));
        let running = start.words(words).probe(Order::Work("stubborn", 999_999)).start();
        running.wait_for_line(Report::Ready.by("stubborn"));
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(137);
        assert!(before.elapsed() >= Duration::from_millis(200), "{outcome}");
    }
}

#[test]
fn orphans_are_adopted_if_requested_or_implied() {
    for (variables, words, expected) in [
        (&[][..], &[][..], false),
        (&[], &["--subreaper"], true),
        (&[("DUMB_INIT_SUBREAPER", "1")], &[], true),
        (&[("DUMB_INIT_SUBREAPER", "0")], &[], false),
        (&[("DUMB_INIT_SUBREAPER", "0")], &["--drain", "1s"], true),
        (&[("DUMB_INIT_DRAIN", "1s")], &[], true),
        (&[("DUMB_INIT_LINGER", "1")], &[], true),
        (&[], &["--linger"], true),
        (&[], &["--forward", "tree"], true),
        (&[], &["--kill-after", "1s"], false),
    ] {
        let Some(start) = init_beyond() else { return };
        let start = variables.iter().fold(start, |start, (name, value)| start.variable(name, value));
        let script = format!(
            "{0} {orphan}; exec {0} {record}",
            probe().display(),
            orphan = Order::Daemon("orphan", 0),
            record = Order::Record(15)
        );
        let running = start.words(words).words(["sh", "-c", &script]).start();
        running.wait_for_line(Report::Ready.by("orphan"));
        running.wait_for_line(Report::Ready);
        let init = running.pid();
        let parent = procfs::parent(find(&running, "orphan"));
        assert_eq!(parent == Some(init), expected, "{variables:?} {words:?}: {parent:?}, {init}");
    }
}

#[test]
fn refused_adoption_is_logged_and_ends_nothing() {
    let Some(start) = init_beyond() else { return };
    let start =
        start.condition(Condition::Refused(libc::SYS_prctl, libc::EPERM)).words(["-v", "--subreaper"]);
    let outcome = start.probe(Order::Exit(3)).run();
    outcome.expect_code(3);
    let line = "[dumb-init] Unable to adopt orphans (errno=1 Operation not permitted).\n";
    assert!(outcome.stderr().contains(line), "{outcome}");
}

#[test]
fn parent_death_signal_is_forwarded() {
    let init = init_under_test().display().to_string();
    for (variable, words) in
        [(("X", "x"), "--parent-death-signal USR1"), (("DUMB_INIT_PARENT_DEATH_SIGNAL", "10"), "")]
    {
        if init_beyond().is_none() {
            return;
        }
        let script =
            format!("{init} {words} {} {record} & wait", probe().display(), record = Order::Record(10));
        let running = Start::program("sh").words(["-c", &script]).variable(variable.0, variable.1).start();
        running.wait_for_line(Report::Ready);
        // The others outlive the shell.
        send(running.pid(), libc::SIGKILL);
        running.wait_for_line(Report::Got(10));
    }
}

#[test]
fn parent_death_is_ignored_without_the_option() {
    let init = init_under_test().display().to_string();
    let script = format!("{init} {} {record} & wait", probe().display(), record = Order::Record(10));
    let running = Start::program("sh").words(["-c", &script]).start();
    running.wait_for_line(Report::Ready);
    let shell = running.pid();
    let inner = procfs::oldest_child(shell).expect("the init");
    send(shell, libc::SIGKILL);
    procfs::wait_until("it is an orphan", || procfs::parent(inner) != Some(shell));
    send(inner, libc::SIGUSR2);
    running.wait_for_line(Report::Got(12));
    assert_eq!(running.stdout(), "ready\ngot 12\n");
}

#[test]
fn split_string_splits_an_interpreter_line() {
    if init_beyond().is_none() {
        return;
    }
    let init = init_under_test().display().to_string();
    let scratch = Scratch::new();
    let tell = "echo \"$0\" \"$@\"; exit 143\n";
    for (line, expected) in [
        ("-S --exit-map 143:6 /bin/sh", 6),
        ("-S -c --exit-map '143:7' -- /bin/sh", 7),
        ("-S--exit-map=143:8 /bin/sh", 8),
        ("--split-string=--exit-map 143:9 /bin/sh", 9),
    ] {
        let script = scratch.file("script.sh", &format!("#!{init} {line}\n{tell}"), 0o755);
        let outcome = Start::program(&script).words(["a b", "-v"]).run();
        outcome
            .expect_code(expected)
            .expect_stdout(&format!("{} a b -v\n", script.display()))
            .expect_stderr("");
    }
}

#[test]
fn split_string_applies_only_as_first_option() {
    for (words, text) in [
        (&["-v", "-S", "true"][..], "option '--split-string' must be the first one"),
        (&["-vS", "true"], "option '--split-string' must be the first one"),
        (&["-S", "-S true"], "option '--split-string' must be the first one"),
        (&["-S", "'a"], "option '--split-string' takes words whose quotes are closed, not ''a'"),
        (&["-S", "--yolo"], "unrecognized option '--yolo'"),
    ] {
        let Some(outcome) = run(&[], words, &["exit", "0"]) else { return };
        outcome.expect_code(1).expect_stdout("").expect_stderr(&format!("dumb-init: {text}\n"));
    }
    init_beyond()
        .unwrap()
        .word("-S")
        .run()
        .expect_code(1)
        .expect_stderr("dumb-init: option requires an argument -- 'S'\n");
    let usage = "Usage: dumb-init [option] program [args]\nTry dumb-init --help for full usage.\n";
    init_beyond().unwrap().words(["-S", "-c"]).run().expect_code(1).expect_stderr(usage);
    // A variable, and a word that follows.
    let start = init_beyond().unwrap().variable("GREETING", "good  day");
    start
        .words(["-S", "echo ${GREETING} 'a b'", "c"])
        .run()
        .expect_code(0)
        .expect_stdout("good  day a b c\n");
}

#[test]
fn highest_verbosity_logs_senders_recipients_and_remaining() {
    wanted_difference("17. `-v` twice", Original::Fails, || {
        for (variables, words) in
            [(&[][..], &["-vv"][..]), (&[], &["-v", "-v"]), (&[("DUMB_INIT_DEBUG", "2")], &[])]
        {
            let start = init();
            let start = variables.iter().fold(start, |start, (name, value)| start.variable(name, value));
            let script = format!(
                "setsid {0} {hang} & exec {0} {record}",
                probe().display(),
                hang = Order::Hang,
                record = Order::Record(37)
            );
            let running = start.word("--subreaper").words(words).words(["sh", "-c", &script]).start();
            running.wait_for_stdout("two that are ready", |text| {
                text.matches(&Report::Ready.to_string()).count() == 2
            });
            let command = running.command_pid();
            running.signal(37);
            let outcome = running.outcome();
            outcome.expect_code(42);
            let (us, uid) = (getpid(), nix::unistd::getuid());
            for line in [
                format!("[dumb-init] SIGRTMIN+3 comes from PID {us} (uid {uid})."),
                format!("[dumb-init] SIGRTMIN+3 goes to PID {command} (record 37)."),
                " (hang).".to_owned(),
            ] {
                let has_it = |candidate: &str| {
                    candidate == line
                        || candidate.starts_with("[dumb-init] Still running: PID ")
                            && candidate.ends_with(&line)
                };
                assert_eq!(
                    outcome.stderr().lines().filter(|candidate| has_it(candidate)).count(),
                    1,
                    "{line}\n{outcome}"
                );
            }
        }
    });
}

#[test]
fn highest_verbosity_logs_an_invisible_sender() {
    let Some(start) = init_beyond() else { return };
    if !can_have_pid_namespaces() {
        return;
    }
    let running = start.in_namespace().word("-vv").probe(Order::Record(15)).start();
    running.wait_for_line(Report::Ready);
    running.signal(libc::SIGTERM);
    let outcome = running.outcome();
    outcome.expect_code(42);
    let line = "[dumb-init] SIGTERM comes from outside of this PID namespace (uid ";
    assert!(outcome.stderr().contains(line), "{outcome}");
}

#[test]
fn variables_without_effect_are_reported_with_v() {
    wanted_difference("25. Variables without an effect", Original::Fails, || {
        let mark = "[dumb-init] Ignoring ";
        for (name, value, line) in [
            ("DUMB_INIT_SETSID", "false", "DUMB_INIT_SETSID=false: only 0 has an effect."),
            ("DUMB_INIT_DEBUG", "yes\u{202e}", r"DUMB_INIT_DEBUG=yes\u{202e}: only 1 and 2 have an effect."),
            ("DUMB_INIT_GRACE", "1s", "DUMB_INIT_GRACE: there is no such variable."),
        ] {
            let start = |options: &[&str]| init().variable(name, value).words(options).probe(Order::Exit(4));
            let outcome = start(&["-v"]).run();
            let stderr = outcome.expect_code(4).stderr();
            let lines: Vec<&str> = stderr.lines().filter_map(|line| line.strip_prefix(mark)).collect();
            assert_eq!(lines, [line], "{outcome}");
            start(&[]).run().expect_code(4).expect_stderr("");
        }
    });
    for (name, value) in [
        ("DUMB_INIT_SETSID", "1"),
        ("DUMB_INIT_SETSID", ""),
        ("DUMB_INIT_DEBUG", "0"),
        // From an outer init to its hook.
        ("DUMB_INIT_SIGNAL", "TERM"),
        ("DUMB_INIT_COMMAND_PID", "7"),
        ("DUMB_INIT", "x"),
    ] {
        let outcome = init().variable(name, value).word("-v").probe(Order::Exit(4)).run();
        assert!(!outcome.expect_code(4).stderr().contains("Ignoring"), "{outcome}");
    }
}

#[test]
fn single_v_overrides_the_variable() {
    let Some(outcome) = run(&[("DUMB_INIT_DEBUG", "2")], &["-v"], &["exit", "0"]) else { return };
    let first = outcome.stderr().lines().next().map(str::to_owned);
    assert_eq!(first.as_deref(), Some("[dumb-init] Running in debug mode."), "{outcome}");
    assert!(!outcome.stderr().contains("comes from"), "{outcome}");
}
