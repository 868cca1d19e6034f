//! Processes that a shutdown signals late, or should not signal at once: pipe readers, and workers beside their master.

use super::{BY_PARENT, BY_WRITERS, Told, explain};
use crate::support::{Disposition, Order, Report, Running, init_beyond, probe, with_probe};

/// A program that writes to a reader by standard error only, and a reader that does not exit by end of file.
fn pipeline() -> String {
    format!(
        "exec 3>&1; probe {app} 2>&1 >&3 3>&- | probe {reader} 3>&-; :",
        app = Order::Work("app", 100),
        reader = Order::Dispose(Disposition::Catches, "reader")
    )
}

fn start_pipeline(options: &[&str]) -> Option<Running> {
    let script = with_probe(pipeline());
    let running = init_beyond()?.words(options).words(["bash", "-c", &script]).start();
    running.wait_for_stdout("both are ready", |text| text.matches(" ready").count() == 2);
    Some(running)
}

#[test]
fn pipe_reader_is_reached_after_its_writers() {
    for options in [&["--drain", "60s"][..], &["--linger"], &["--drain", "60s", "-c"]] {
        let Some(running) = start_pipeline(options) else { return };
        let told = explain(&running, "--explain");
        told.expect_code(0);
        assert_eq!(last(&told), format!("catches it{BY_WRITERS}"), "{told}");
        told.expect_part(" of 3 later.");
        running.signal(libc::SIGTERM);
        running.wait_for_line(Report::Got(15).by("reader"));
        let text = running.stdout();
        assert!(text.find("app finished") < text.find("reader got 15"), "{told}\n{running}");
    }
}

#[test]
fn pipe_reader_is_no_exception_without_the_options() {
    let Some(running) = start_pipeline(&[]) else { return };
    assert_eq!(last(&explain(&running, "--explain")), "catches it");
    // The init exits with the command, which may be before the reader's turn.
    let Some(running) = start_pipeline(&["--forward", "tree"]) else { return };
    assert_eq!(last(explain(&running, "--explain").expect_code(1)), "unknown");
    assert_eq!(last(&explain(&running, "--explain=USR1")), "catches it");
}

/// A master, and a worker in its process group.
fn start_master(options: &[&str]) -> Option<Running> {
    let running = init_beyond()?.words(options).probe(Order::RecordingTree(8, 2, "no-init", 0)).start();
    running.wait_for_stdout("both are ready", |text| text.matches(" ready-as ").count() == 2);
    Some(running)
}

/// The fate of the process that was started last.
fn last(told: &Told) -> &str {
    &told.rows.iter().max_by_key(|row| row.pid).expect("a row").fate
}

#[test]
fn workers_beside_their_master_are_spared_in_child_mode() {
    for options in [&[][..], &["--drain", "60s"], &["--drain", "60s", "--forward", "tree"]] {
        let Some(running) = start_master(options) else { return };
        let told = explain(&running, "--explain");
        told.expect_code(1)
            .expect_part("Signalled together with their master, which stops them itself: PID ");
        assert_eq!(last(&told), "catches it", "{told}");
        let advice = if options.is_empty() { "DUMB_INIT_FORWARD=child DUMB_INIT_DRAIN=10s" } else { "child" };
        assert!(
            told.outcome.stderr().lines().any(|line| line.starts_with("Try: ") && line.ends_with(advice)),
            "{told}"
        );
        // A SIGHUP asks no master to stop its workers.
        assert!(!explain(&running, "--explain=HUP").outcome.stderr().contains("together with their master"));
    }
    let Some(running) = start_master(&["--drain", "60s", "--forward", "child"]) else { return };
    let told = explain(&running, "--explain");
    told.expect_code(0).expect_no_advice();
    assert_eq!(last(&told), "catches it, later", "{told}");
}

#[test]
fn process_below_a_survivor_is_reached_after_parent_exit() {
    let text =
        format!("probe {main} & trap : TERM; wait", main = Order::Dispose(Disposition::Catches, "main"))
            .replace("probe", &probe().display().to_string());
    let script = format!("bash -c '{text}; wait' & exec {} {hang}", probe().display(), hang = Order::Hang);
    let Some(start) = init_beyond() else { return };
    let running = start.words(["--drain", "60s", "-c", "sh", "-c", &script]).start();
    running.wait_for_stdout("both are ready", |text| text.matches(&Report::Ready.to_string()).count() == 2);
    let told = explain(&running, "--explain");
    told.expect_code(0);
    let row = told.rows.iter().find(|row| row.command.ends_with("dispose Catches main"));
    assert_eq!(row.map(|row| row.fate.clone()), Some(format!("catches it{BY_PARENT}")), "{told}");
    told.expect_part(" of 3 later.");
}

#[test]
fn command_is_found_on_a_terminal_that_the_init_keeps() {
    let Some(start) = init_beyond() else { return };
    let (running, _terminal) = start.words(["--drain", "60s"]).probe(Order::Hang).start_on_terminal();
    running.wait_for_stdout("it is ready", |text| text.contains(&Report::Ready.to_string()));
    explain(&running, "--explain").expect_code(0).expect("hang", "terminates");
    // It leads a group in the session of the init, so that no other stop stands for this one.
    explain(&running, "--explain=TSTP")
        .expect_line("SIGTSTP is forwarded as SIGTSTP")
        .expect("hang", "stops");
}
