//! `--forward tree` reaches every descendant, and no other process.

use nix::unistd::Pid;

use super::{expect_lines, in_both_settings, script, wait_for_lines};
use crate::support::procfs::{state, wait_until};
use crate::support::{Condition, Order, Report, Start, can_have_pid_namespaces, init_beyond, skip};

#[test]
fn forward_tree_reaches_processes_forked_meanwhile() {
    in_both_settings(|start| {
        let text = format!(
            "setsid probe {far} & probe {near} & setsid probe {fork_loop} & wait",
            far = Order::Work("far", 1),
            near = Order::Work("near", 1),
            fork_loop = Order::ForkLoop
        );
        // Nobody is asked to end at the end of the command, so that only this signal ends the others.
        let running = start.words(["-v", "--forward", "tree", "--linger"]).words(script(text)).start();
        wait_for_lines(
            &running,
            &[Report::Ready.by("far"), Report::Ready.by("near"), Report::Ready.to_string()],
        );
        let others =
            || running.descendants().into_iter().filter(|&pid| state(pid).is_some() && is_bred(pid)).count();
        wait_until("there are many", || others() > 40);
        running.signal(libc::SIGUSR1);
        wait_until("all others have exited", || others() == 0);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(128 + libc::SIGUSR1);
        for name in ["far", "near"] {
            expect_lines(&outcome, &[(Report::Got(10).by(name), 1), (Report::Finished.by(name), 1)]);
        }
    });
}

fn is_bred(pid: Pid) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|text| text.ends_with(format!("{}\0", Order::ForkLoop).as_bytes()))
}

#[test]
fn forward_tree_sends_each_signal_once() {
    in_both_settings(|start| {
        let text = format!(
            "setsid probe {record} & (setsid probe {record} &) ; probe {record} & exec probe {record}",
            record = Order::Record(64)
        );
        let running = start.words(["--forward", "tree", "--linger"]).words(script(text)).start();
        running.wait_for_stdout("four that are ready", |text| {
            super::count_lines(text, &Report::Ready.to_string()) == 4
        });
        for number in [libc::SIGTERM, libc::SIGHUP, 40, 64] {
            running.signal(number);
            running.wait_for_stdout("each signal", |text| {
                super::count_lines(text, &format!("got {number}")) >= 4
            });
        }
        let outcome = running.outcome();
        outcome.expect_code(42);
        expect_lines(
            &outcome,
            &[
                (Report::Got(15).to_string(), 4),
                (Report::Got(1).to_string(), 4),
                (Report::Got(40).to_string(), 4),
                (Report::Got(64).to_string(), 4),
            ],
        );
    });
}

#[test]
fn forward_tree_sends_sigterm_to_the_remaining_at_exit() {
    in_both_settings(|start| {
        let text = format!(
            "setsid probe {far} & probe {with} {waits} -- /bin/true; exit 3",
            far = Order::Work("far", 1),
            with = Order::With,
            waits = Condition::Waits
        );
        let mut running = start.words(["--forward", "tree"]).words(script(text)).start();
        wait_for_lines(&running, &[Report::Ready.by("far"), Report::Waiting.to_string()]);
        let namespaced = running.is_in_namespace();
        let waits = super::find(&running, "waits");
        crate::support::send(waits, libc::SIGUSR1);
        assert_eq!(running.wait().code(), Some(3));
        // In a namespace, SIGKILL at the end may reach it before its report.
        if !namespaced {
            wait_for_lines(&running, &[Report::Got(15).by("far"), Report::Finished.by("far")]);
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
    let running = start.in_namespace().words(options).probe(Order::Work("main", 100)).start();
    running.wait_for_line(Report::Ready.by("main"));
    let target = running.pid().to_string();
    let mut outsider = Start::program("nsenter")
        .words(["--target", &target, "--pid", "--mount", "--"])
        .probe(Order::Work("outsider", 100))
        .start();
    outsider.wait_for_line(Report::Ready.by("outsider"));
    running.signal(libc::SIGTERM);
    // Nor is it waited for.
    running.outcome().expect_code(0);
    // It has died with the namespace, and has got nothing before.
    outsider.wait();
    assert_eq!(outsider.stdout(), "outsider ready\n");
}
