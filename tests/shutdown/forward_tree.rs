//! `--forward tree` reaches every descendant, and no other process.

use nix::unistd::Pid;

use super::{expect_lines, in_both_settings, script, wait_for_lines};
use crate::support::procfs::{state, wait_until};
use crate::support::{Start, can_have_pid_namespaces, init_beyond, role, skip};

#[test]
fn forward_tree_reaches_processes_forked_meanwhile() {
    in_both_settings(|start| {
        let text = "setsid probe work far 1 & probe work near 1 & setsid probe breed & wait";
        // Nobody is asked to end at the end of the command, so that only this signal ends the others.
        let running = start.words(["-v", "--forward", "tree", "--linger"]).words(script(text)).start();
        wait_for_lines(&running, &["far ready", "near ready", "ready"]);
        let others =
            || running.descendants().into_iter().filter(|&pid| state(pid).is_some() && is_bred(pid)).count();
        wait_until("there are many", || others() > 40);
        running.signal(libc::SIGUSR1);
        wait_until("nobody is left whom it ends", || others() == 0);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(128 + libc::SIGUSR1);
        for name in ["far", "near"] {
            expect_lines(&outcome, &[(&format!("{name} got 10"), 1), (&format!("{name} finished"), 1)]);
        }
    });
}

fn is_bred(pid: Pid) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|text| text.ends_with(b"breed\0"))
}

#[test]
fn forward_tree_sends_each_signal_once() {
    in_both_settings(|start| {
        let text =
            "setsid probe record 64 & (setsid probe record 64 &) ; probe record 64 & exec probe record 64";
        let running = start.words(["--forward", "tree", "--linger"]).words(script(text)).start();
        running.wait_for_stdout("four that are ready", |text| super::count(text, "ready") == 4);
        for number in [libc::SIGTERM, libc::SIGHUP, 40, 64] {
            running.signal(number);
            running.wait_for_stdout("each signal", |text| super::count(text, &format!("got {number}")) >= 4);
        }
        let outcome = running.outcome();
        outcome.expect_code(42);
        expect_lines(&outcome, &[("got 15", 4), ("got 1", 4), ("got 40", 4), ("got 64", 4)]);
    });
}

#[test]
fn forward_tree_sends_sigterm_to_the_remaining_at_exit() {
    in_both_settings(|start| {
        let text = "setsid probe work far 1 & probe with waits -- /bin/true; exit 3";
        let mut running = start.words(["--forward", "tree"]).words(script(text)).start();
        wait_for_lines(&running, &["far ready", "waits"]);
        let namespaced = running.is_in_namespace();
        let waits = super::find(&running, "waits");
        crate::support::send(waits, libc::SIGUSR1);
        assert_eq!(running.wait().code(), Some(3));
        // In a namespace, SIGKILL at the end may reach it before its report.
        if !namespaced {
            wait_for_lines(&running, &["far got 15", "far finished"]);
        }
    });
}

#[test]
fn forward_tree_ignores_processes_entered_from_outside() {
    let Some(start) = init_beyond() else { return };
    if !can_have_pid_namespaces() {
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        skip("nsenter(1) needs root");
        return;
    }
    let options = ["--forward", "tree", "--drain", "10s"];
    let running = start.in_namespace().words(options).words(role(["work", "main", "100"])).start();
    running.wait_for_line("main ready");
    let target = running.pid().to_string();
    let mut outsider = Start::program("nsenter")
        .words(["--target", &target, "--pid", "--mount", "--"])
        .words(role(["work", "outsider", "100"]))
        .start();
    outsider.wait_for_line("outsider ready");
    running.signal(libc::SIGTERM);
    // Nor is it waited for.
    running.outcome().expect_code(0);
    // It has died with the namespace, and has got nothing before.
    outsider.wait();
    assert_eq!(outsider.stdout(), "outsider ready\n");
}
