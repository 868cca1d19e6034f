//! How it is asked for, and what is no way to.

use super::{Told, explain, explainer};
use crate::support::{Condition, Disposition, Order, Report, Start, built_init, init, procfs};

/// The program as whoever has typed it sees it, with nothing to be run.
fn typed(words: &[&str]) -> crate::support::Outcome {
    Start::init(&built_init()).words(words).run()
}

#[test]
fn explain_usage_error_is_one_line() {
    for (words, complaint) in [
        (&["--explain=FOO"][..], "option '--explain' takes a signal (15, TERM, SIGTERM, RTMIN+3), not 'FOO'"),
        (&["--explain=0"], "option '--explain' takes a signal (15, TERM, SIGTERM, RTMIN+3), not '0'"),
        (&["--explain="], "option '--explain' takes a signal (15, TERM, SIGTERM, RTMIN+3), not ''"),
        (&["--explain", "TERM"], "option '--explain' takes its signal as in '--explain=TERM'"),
        (&["--explain", "true"], "option '--explain' takes no command"),
        (&["--explain", "-c"], "option '--explain' goes with no other option than '--pid'"),
        (&["--drain", "10s", "--explain"], "option '--explain' goes with no other option than '--pid'"),
        (&["--pid", "1", "true"], "option '--pid' goes with '--explain'"),
        (&["--explain", "--pid", "0"], "option '--pid' takes a PID, not '0'"),
        (&["--explain", "--pid", "-1"], "option '--pid' takes a PID, not '-1'"),
        (&["--explain", "--pid"], "option '--pid' requires an argument"),
        // No abbreviation of the original's may ever mean it.
        (&["--expl"], "unrecognized option '--expl'"),
        (&["--pi", "1"], "unrecognized option '--pi'"),
    ] {
        typed(words).expect_code(1).expect_stdout("").expect_stderr(&format!("dumb-init: {complaint}\n"));
    }
}

#[test]
fn explain_refuses_a_missing_process() {
    // No process ever has this PID.
    let outcome = typed(&["--explain", "--pid", "2147483647"]);
    let complaint = "dumb-init: unable to find PID 2147483647: /proc does not show it\n";
    outcome.expect_code(2).expect_stdout("").expect_stderr(complaint);
}

#[test]
fn explain_refuses_a_zombie_or_kernel_thread() {
    // A child that has ended, as long as nobody waits for it.
    let mut child = std::process::Command::new("true").spawn().expect("a child");
    procfs::wait_for_state(nix::unistd::Pid::from_raw(child.id().cast_signed()), 'Z');
    let complaint = format!("dumb-init: PID {} is a zombie: it has exited\n", child.id());
    typed(&["--explain", "--pid", &child.id().to_string()]).expect_code(2).expect_stderr(&complaint);
    child.wait().expect("its end");
    // kthreadd is visible outside of containers only.
    if std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n") {
        let complaint = "dumb-init: PID 2 is a thread of the kernel\n";
        typed(&["--explain", "--pid", "2"]).expect_code(2).expect_stderr(complaint);
    }
}

#[test]
fn explain_ignores_settings_of_another_init() {
    let running = init().probe(Order::Hang).start();
    running.wait_for_line(Report::Ready);
    let start = explainer(&running).word("--explain");
    // Its own variables are those of what it explains, most often, but for the ones that `docker exec` adds.
    let told = start.variable("DUMB_INIT_DRAIN", "no").variable("DUMB_INIT_DEBUG", "2").run();
    Told::of(told)
        .expect_code(0)
        .expect("hang", "terminates")
        .expect_line("Every process receives the signal.");
}

#[test]
fn explain_accepts_any_signal() {
    let running = init().probe(Order::Dispose(Disposition::Catches, "it")).start();
    running.wait_for_stdout("it is ready", |text| text.contains(&Report::Ready.by("it")));
    for (option, name) in [
        ("--explain=HUP", "SIGHUP"),
        ("--explain=sigusr1", "SIGUSR1"),
        ("--explain=RTMIN+3", "SIGRTMIN+3"),
        ("--explain=2", "SIGINT"),
    ] {
        let told = explain(&running, option);
        told.expect_code(0)
            .expect("dispose", "catches it")
            .expect_line(&format!("{name} is forwarded as {name}"));
        let header = format!("PID\tPPID\tPGID\tSID\t{name}\tCOMMAND\n");
        assert!(told.outcome.stdout().starts_with(&header), "{told}");
    }
    for (option, line) in [
        ("--explain=KILL", "SIGKILL is not forwarded: no program can catch it"),
        ("--explain=STOP", "SIGSTOP is not forwarded: no program can catch it"),
        ("--explain=CHLD", "SIGCHLD is not forwarded: it reports that a child of the init has exited"),
    ] {
        explain(&running, option)
            .expect_code(1)
            .expect("dispose", "not signalled")
            .expect_line(line)
            .expect_no_advice();
    }
}

#[test]
fn explain_as_pid_1_is_refused() {
    if !crate::support::can_have_pid_namespaces() {
        return;
    }
    let outcome = Start::program(built_init()).in_namespace().word("--explain").run();
    let complaint = "dumb-init: no init to explain: run --explain beside the init, by docker exec\n";
    outcome.expect_code(2).expect_stdout("").expect_stderr(complaint);
}

/// A reader that has seen enough ends it as it ends any tool; one that takes nothing is an error.
#[test]
fn explain_write_failure_is_an_error() {
    let running = init().probe(Order::Hang).start();
    running.wait_for_line(Report::Ready);
    let outcome = explainer(&running).condition(Condition::Full(1)).word("--explain").run();
    outcome.expect_code(2);
    assert!(outcome.stderr().contains("dumb-init: unable to write: "), "{outcome}");
}
