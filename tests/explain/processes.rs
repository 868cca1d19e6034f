//! Processes of all kinds, and what is said of them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use nix::unistd::Pid;

use super::{Told, explain, explainer, own_pid, wait_for_two, waits_for_signals};
use crate::support::{
    Condition, Disposition, Order, Report, Scratch, Start, can_have_pid_namespaces, init, init_beyond,
    init_under_test, is_root, probe, probe_as, procfs, send, with_probe,
};

#[test]
fn process_name_never_breaks_its_line() {
    let scratch = Scratch::new();
    let copy = scratch.executable_copy(&probe());
    let odd = scratch
        .path()
        .join(OsStr::from_bytes(b"a) R 1\t(\n\x1b[31m\xff\xe2\x80\xae\xe2\x80\xa8\xe2\x80\x8b\xc2\x9b"));
    std::fs::rename(copy, &odd).expect("an odd name");
    let running = init().word(&odd).word("hang").start();
    running.wait_for_line(Report::Ready);
    let told = explain(&running, "--explain");
    let name = r"a) R 1\t(\n\u{1b}[31m\xff\u{202e}\u{2028}\u{200b}\u{9b} hang";
    told.expect_code(0).expect(name, "terminates");
    assert_eq!(told.rows.len(), 2, "{told}");
}

#[test]
fn zombies_are_counted_by_their_parent() {
    for (count, line) in [
        (1, "1 zombie of probe (PID {}): only its parent can reap it."),
        (3, "3 zombies of probe (PID {}): only their parent can reap them."),
    ] {
        let zombies = format!("probe {} & ", Order::Exit(0)).repeat(count);
        let text = with_probe(format!("{zombies} exec probe {hang}", hang = Order::Hang));
        let running = init().words(["sh", "-c", &text]).start();
        running.wait_for_line(Report::Ready);
        let command = running.command_pid();
        let is_zombie = |pid: &Pid| procfs::state(*pid) == Some('Z');
        procfs::wait_until("there are zombies", || {
            procfs::children(command).iter().filter(|pid| is_zombie(pid)).count() == count
        });
        let told = explain(&running, "--explain");
        told.expect_code(1).expect("hang", "terminates").expect_no_advice();
        told.expect_line("Every process receives the signal.");
        told.expect_line(&line.replace("{}", &command.to_string()));
        assert_eq!(told.rows.iter().filter(|row| row.fate == "zombie").count(), count, "{told}");
    }
}

#[test]
fn zombies_of_a_pid_1_without_init_need_an_init() {
    if !can_have_pid_namespaces() {
        return;
    }
    let text = with_probe(format!("probe {} & exec probe {}", Order::Exit(0), Order::Hang));
    let running = Start::program("sh").words(["-c", &text]).in_namespace().start();
    running.wait_for_line(Report::Ready);
    let is_zombie = |pid: &Pid| procfs::state(*pid) == Some('Z');
    procfs::wait_until("there is a zombie", || procfs::children(running.pid()).iter().any(is_zombie));
    let told = explain(&running, "--explain");
    told.expect_code(1).expect_line("1 zombie of probe (PID 1), which does not reap. An init would.");
}

#[test]
fn stopped_process_is_reported() {
    let running = init().probe(Order::Hang).start();
    running.wait_for_line(Report::Ready);
    let command = running.command_pid();
    send(command, libc::SIGSTOP);
    procfs::wait_for_state(command, 'T');
    // A SIGTERM lets it go on, anything else does not.
    explain(&running, "--explain").expect("hang", "terminates");
    let told = explain(&running, "--explain=USR1");
    told.expect("hang", "is stopped");
    told.expect_line(&format!("Stopped, so that it has no effect before SIGCONT: PID {command}."));
}

#[test]
fn stopped_orphan_below_another_init_is_reported_as_unknown() {
    let Some(start) = init_beyond() else { return };
    // The command of the init below dies of it, and leaves one behind that the init above, which goes through all its
    // descendants, may come upon in time to let it go on.
    let text = format!(
        r#"trap "" TERM; "$0" sh -c "probe {it} & wait" & wait"#,
        it = Order::Dispose(Disposition::Catches, "it")
    );
    let text = with_probe(text);
    let start = start.words(["--forward", "tree", "--linger", "sh", "-c", &text]).word(init_under_test());
    let running = start.start();
    running.wait_for_stdout("it is ready", |text| text.contains(" ready-as "));
    let is_it = |&pid: &Pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|file| file == probe());
    let stopped = running.descendants().into_iter().find(is_it).expect("the probe");
    let expect_fate = |fate: &str| {
        let told = explain(&running, "--explain");
        assert_eq!(told.row(stopped.as_raw()).map(|row| &*row.fate), Some(fate), "{told}");
    };
    expect_fate("catches it");
    send(stopped, libc::SIGSTOP);
    procfs::wait_for_state(stopped, 'T');
    expect_fate("unknown");
}

#[test]
fn dispositions_are_distinguished() {
    for (disposition, fate) in [
        (Disposition::Catches, "catches it"),
        (Disposition::CatchesInAThread, "catches it"),
        (Disposition::Waits, "waits for it"),
        (Disposition::Reads, "reads it"),
        (Disposition::Ignores, "ignores it"),
        (Disposition::Blocks, "blocks it"),
        (Disposition::Dies, "terminates"),
    ] {
        let running = init().probe(Order::Dispose(disposition, "it")).start();
        running.wait_for_stdout("it is ready", |text| text.contains(" ready-as "));
        if disposition == Disposition::Waits {
            procfs::wait_until("it waits, after it has said so", || waits_for_signals(running.command_pid()));
        }
        let told = explain(&running, "--explain");
        told.expect_code(0).expect(&Order::Dispose(disposition, "it").to_string(), fate);
        let line = match disposition {
            Disposition::Ignores => "Ignored by: PID ",
            Disposition::Blocks => "Blocked, so that it stays pending, by: PID ",
            _ => "Every process receives the signal.",
        };
        told.expect_part(line);
    }
}

#[test]
fn nested_pid_1_drops_signals_without_handler() {
    if !can_have_pid_namespaces() {
        return;
    }
    let words = |disposition| {
        let namespace = crate::support::namespace().into_iter().map(std::ffi::OsString::from);
        namespace.chain(probe_as(Order::Dispose(disposition, "it"))).collect::<Vec<_>>()
    };
    for (disposition, fate) in [(Disposition::Dies, "discarded"), (Disposition::Catches, "catches it")] {
        let Some(start) = init_beyond() else { return };
        let running = start.words(["--forward", "tree", "--drain", "10s"]).words(words(disposition)).start();
        running.wait_for_stdout("it is ready", |text| text.contains(" ready-as 1 "));
        let told = explain(&running, "--explain");
        // unshare(1) has the same words before it.
        let row = told.rows.iter().find(|row| row.command.starts_with(&probe().display().to_string()));
        assert_eq!(row.map(|row| &*row.fate), Some(fate), "{told}");
    }
}

#[test]
fn explain_gives_same_answer_from_outside_a_namespace() {
    if !can_have_pid_namespaces() {
        return;
    }
    let running = init().in_namespace().words(["-c", "sh", "-c", "sleep 600 & sleep 600; :"]).start();
    wait_for_two(&running);
    let outside = Told::of(explainer_from_outside(&running).run());
    let inside = explain(&running, "--explain");
    let fates = |told: &Told| told.rows.iter().map(|row| row.fate.clone()).collect::<Vec<_>>();
    assert_eq!(
        (fates(&outside), outside.outcome.code()),
        (fates(&inside), inside.outcome.code()),
        "{outside}\n{inside}"
    );
    inside.expect_part("Remaining processes are killed when ");
    outside.expect_part("Remaining processes are killed when ");
    let own: Vec<i32> =
        outside.rows.iter().filter_map(|row| own_pid(nix::unistd::Pid::from_raw(row.pid))).collect();
    assert_eq!(own, inside.rows.iter().map(|row| row.pid).collect::<Vec<_>>());
}

fn explainer_from_outside(running: &crate::support::Running) -> Start {
    Start::init(&crate::support::built_init()).words(["--explain", "--pid", &running.pid().to_string()])
}

#[test]
fn processes_the_init_may_not_signal_are_reported() {
    if !is_root() {
        return;
    }
    let running = init().condition(Condition::WithoutCapKill).probe(Order::RecordAs(1000, 64)).start();
    running.wait_for_line(Report::Ready);
    let told = explain(&running, "--explain");
    told.expect_code(1).expect("record-as", "not signalled");
    told.expect_part("Not permitted, since the init lacks CAP_KILL: PID ");
}

#[test]
fn hidden_processes_are_mentioned() {
    if !is_root() || !can_have_pid_namespaces() {
        return;
    }
    let text = format!(
        "mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid 1000 --regid 1000 --clear-groups {} -- {} {hang}",
        init_under_test().display(),
        probe().display(),
        hang = Order::Hang
    );
    let running = Start::program("sh").in_namespace().words(["-c", &text]).start();
    running.wait_for_line(Report::Ready);
    let told = Told::of(explainer_as(&running, "1000"));
    told.expect_code(1).expect("hang", "terminates");
    told.expect_line("There may be more: /proc hides other users' processes (hidepid).");
    // Another user sees nothing at all.
    explainer_as(&running, "1001").expect_code(2).expect_stdout("");
    Told::of(explainer(&running).word("--explain").run()).expect_code(0);
}

fn explainer_as(running: &crate::support::Running, user: &str) -> crate::support::Outcome {
    Start::program("nsenter")
        .words(crate::support::namespace_of(running.pid()))
        .words(["setpriv", "--reuid", user, "--regid", user, "--clear-groups"])
        .word(crate::support::built_init())
        .word("--explain")
        .run()
}

#[test]
fn processes_exiting_during_the_scan_are_tolerated() {
    let text = "echo ready; while :; do (exit 0) & (exit 0) & wait; done";
    let running = init().words(["sh", "-c", text]).start();
    running.wait_for_line(Report::Ready);
    for _ in 0..50 {
        let told = explain(&running, "--explain");
        let shell = told.rows.iter().find(|row| row.pid == running.command_pid().as_raw());
        // A shell blocks signals for as long as it forks.
        let fate = shell.map(|row| &*row.fate);
        assert!(matches!(fate, Some("terminates" | "blocks it")), "{told}");
        told.expect_part("Every process receives the signal.");
    }
}

/// Has the init of a namespace explained, whose command shares its group, with which it is an orphaned one.
#[test]
fn job_stop_has_no_effect_in_an_orphaned_group() {
    if !can_have_pid_namespaces() {
        return;
    }
    // The original as PID 1 does not come back from this signal.
    let Some(start) = init_beyond() else { return };
    let running = start.in_namespace().words(["-c"]).probe(Order::Hang).start();
    running.wait_for_line(Report::Ready);
    for signal in ["TSTP", "TTIN", "TTOU"] {
        explain(&running, &format!("--explain={signal}")).expect("hang", "no effect");
    }
    running.signal(libc::SIGTSTP);
    // It goes on, so that it dies of this one.
    running.signal(libc::SIGTERM);
    running.outcome().expect_code(143);
    // Where it leads a session, a stop that works anywhere is sent in its place.
    let running = init().in_namespace().probe(Order::Hang).start();
    running.wait_for_line(Report::Ready);
    let told = explain(&running, "--explain=TSTP");
    told.expect("hang", "stops");
    told.expect_line(
        "SIGTSTP is forwarded as SIGSTOP: in a session of its own, only SIGSTOP stops its child",
    );
}

#[test]
fn sigkill_from_outside_differs_from_sigkill_from_inside() {
    if !can_have_pid_namespaces() {
        return;
    }
    let running = init().in_namespace().probe(Order::Hang).start();
    running.wait_for_line(Report::Ready);
    let inside = explain(&running, "--explain=KILL");
    assert_eq!(inside.row(1).map(|row| &*row.fate), Some("discarded"), "{inside}");
    inside.expect_line("SIGKILL is not forwarded: no program can catch it");
    let outside = Told::of(explainer_from_outside(&running).word("--explain=KILL").run());
    let row = outside.row(running.pid().as_raw());
    assert_eq!(row.map(|row| &*row.fate), Some("terminates"), "{outside}");
}
