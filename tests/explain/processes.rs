//! Processes of all kinds, and what is said of them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use nix::unistd::{Pid, geteuid};

use super::{Told, explain, explainer, own_pid, wait_for_two, waits_for_signals};
use crate::support::{
    Scratch, Start, can_have_pid_namespaces, init, init_beyond, init_under_test, probe, procfs, role, send,
    skip,
};

#[test]
fn whatever_a_process_is_called_its_line_is_one_line() {
    let scratch = Scratch::new();
    let copy = scratch.executable_copy(&probe());
    let odd = scratch
        .path()
        .join(OsStr::from_bytes(b"a) R 1\t(\n\x1b[31m\xff\xe2\x80\xae\xe2\x80\xa8\xe2\x80\x8b\xc2\x9b"));
    std::fs::rename(copy, &odd).expect("an odd name");
    let running = init().word(&odd).word("hang").start();
    running.wait_for_line("ready");
    let told = explain(&running, "--explain");
    let name = r"a) R 1\t(\n\u{1b}[31m\xff\u{202e}\u{2028}\u{200b}\u{9b} hang";
    told.expect_code(0).expect(name, "terminates");
    assert_eq!(told.rows.len(), 2, "{told}");
}

#[test]
fn a_zombie_does_not_count_and_who_is_stopped_is_told_of() {
    let text = "probe exit 0 & exec probe hang".replace("probe", &probe().display().to_string());
    let running = init().words(["sh", "-c", &text]).start();
    running.wait_for_line("ready");
    let command = running.command_pid();
    procfs::wait_until("there is a zombie", || {
        procfs::children(command).iter().any(|&pid| procfs::state(pid) == Some('Z'))
    });
    let told = explain(&running, "--explain");
    told.expect_code(0).expect("hang", "terminates");
    assert_eq!(told.rows.iter().filter(|row| row.fate == "zombie").count(), 1, "{told}");

    send(command, libc::SIGSTOP);
    procfs::wait_for_state(command, 'T');
    // A SIGTERM lets it go on, anything else does not.
    explain(&running, "--explain").expect("hang", "terminates");
    let told = explain(&running, "--explain=USR1");
    told.expect("hang", "is stopped");
    told.expect_line(&format!("Stopped, so that it has no effect before SIGCONT: PID {command}."));
}

#[test]
fn whether_an_init_finds_who_is_stopped_and_left_behind_is_not_known() {
    let Some(start) = init_beyond() else { return };
    // The command of the init below dies of it, and leaves one behind that the init above, which goes through all its
    // descendants, may come upon in time to let it go on.
    let text = r#"trap "" TERM; "$0" sh -c "probe manner Catches it & wait" & wait"#;
    let text = text.replace("probe", &probe().display().to_string());
    let start = start.words(["--forward", "tree", "--linger", "sh", "-c", &text]).word(init_under_test());
    let running = start.start();
    running.wait_for_stdout("it is ready", |text| text.contains(" ready "));
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
fn each_manner_is_told_from_the_others() {
    for (manner, fate) in [
        ("Catches", "catches it"),
        ("CatchesInAThread", "catches it"),
        ("Waits", "waits for it"),
        ("Reads", "reads it"),
        ("Ignores", "ignores it"),
        ("Blocks", "blocks it"),
        ("Dies", "terminates"),
    ] {
        let running = init().words(role(["manner", manner, "it"])).start();
        running.wait_for_stdout("it is ready", |text| text.contains(" ready "));
        if manner == "Waits" {
            procfs::wait_until("it waits, after it has said so", || waits_for_signals(running.command_pid()));
        }
        let told = explain(&running, "--explain");
        told.expect_code(0).expect("manner", fate);
        let line = match manner {
            "Ignores" => "Ignored by: PID ",
            "Blocks" => "Blocked, so that it stays pending, by: PID ",
            _ => "Every process receives the signal.",
        };
        told.expect_part(line);
    }
}

#[test]
fn the_first_process_of_a_namespace_below_drops_what_it_has_no_handler_for() {
    if !can_have_pid_namespaces() {
        return;
    }
    let words = |manner| {
        let mut words: Vec<String> = crate::support::namespace().into_iter().map(String::from).collect();
        words.extend([probe().display().to_string(), "manner".into(), manner, "it".into()]);
        words
    };
    for (manner, fate) in [("Dies", "discarded"), ("Catches", "catches it")] {
        let Some(start) = init_beyond() else { return };
        let running =
            start.words(["--forward", "tree", "--drain", "10s"]).words(words(manner.to_owned())).start();
        running.wait_for_stdout("it is ready", |text| text.contains(" ready 1 "));
        let told = explain(&running, "--explain");
        // unshare(1) has the same words before it.
        let row = told.rows.iter().find(|row| row.command.starts_with(&probe().display().to_string()));
        assert_eq!(row.map(|row| &*row.fate), Some(fate), "{told}");
    }
}

#[test]
fn from_outside_a_namespace_the_same_is_said() {
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
fn whom_the_init_may_not_signal_is_told() {
    if !geteuid().is_root() {
        skip("only for root");
        return;
    }
    let running = init().condition("without-cap-kill").words(role(["record-as", "1000", "64"])).start();
    running.wait_for_line("ready");
    let told = explain(&running, "--explain");
    told.expect_code(1).expect("record-as", "not signalled");
    told.expect_part("Not permitted, since the init lacks CAP_KILL: PID ");
}

#[test]
fn where_others_processes_are_hidden_it_is_said() {
    if !geteuid().is_root() || !can_have_pid_namespaces() {
        skip("only for root");
        return;
    }
    let text = format!(
        "mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid 1000 --regid 1000 --clear-groups {} -- {} hang",
        init_under_test().display(),
        probe().display()
    );
    let running = Start::program("sh").in_namespace().words(["-c", &text]).start();
    running.wait_for_line("ready");
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
fn processes_that_end_while_they_are_read_do_no_harm() {
    let text = "echo ready; while :; do (exit 0) & (exit 0) & wait; done";
    let running = init().words(["sh", "-c", text]).start();
    running.wait_for_line("ready");
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
fn the_stop_of_a_job_does_nothing_in_an_orphaned_group() {
    if !can_have_pid_namespaces() {
        return;
    }
    // The original as PID 1 does not come back from this signal.
    let Some(start) = init_beyond() else { return };
    let running = start.in_namespace().words(["-c"]).words(role(["hang"])).start();
    running.wait_for_line("ready");
    for signal in ["TSTP", "TTIN", "TTOU"] {
        explain(&running, &format!("--explain={signal}")).expect("hang", "no effect");
    }
    running.signal(libc::SIGTSTP);
    // It goes on, so that it dies of this one.
    running.signal(libc::SIGTERM);
    running.outcome().expect_code(143);
    // Where it leads a session, a stop that works anywhere is sent in its place.
    let running = init().in_namespace().words(role(["hang"])).start();
    running.wait_for_line("ready");
    let told = explain(&running, "--explain=TSTP");
    told.expect("hang", "stops");
    told.expect_line(
        "SIGTSTP is forwarded as SIGSTOP: in a session of its own, only SIGSTOP stops its child",
    );
}

#[test]
fn a_kill_from_outside_is_another_than_one_from_inside() {
    if !can_have_pid_namespaces() {
        return;
    }
    let running = init().in_namespace().words(role(["hang"])).start();
    running.wait_for_line("ready");
    let inside = explain(&running, "--explain=KILL");
    assert_eq!(inside.row(1).map(|row| &*row.fate), Some("discarded"), "{inside}");
    inside.expect_line("SIGKILL is not forwarded: no program can catch it");
    let outside = Told::of(explainer_from_outside(&running).word("--explain=KILL").run());
    let row = outside.row(running.pid().as_raw());
    assert_eq!(row.map(|row| &*row.fate), Some("terminates"), "{outside}");
}
