//! The helpers of `--with` and the hook of `--pre-stop`.

use std::path::Path;

use nix::unistd::Pid;

use super::{Row, TWO, explain, wait_for_two};
use crate::support::{
    Report, Running, can_have_pid_namespaces, init_beyond, init_under_test, procfs, send, with_probe,
};

const SHUTS_DOWN: &str = "if it exits, everything is shut down";
const MAY_EXIT: &str = "it may exit";

/// Starts helpers and a command, in which `probe` is the probe, and waits until each of these has reported
/// that it is ready.
fn start(options: &[&str], helpers: &[&str], command: &[&str], names: &[&str]) -> Option<Running> {
    // With a hook, the init keeps its directory. This one shows that it has started.
    let options = init_beyond()?.directory(Path::new("/")).words(options);
    let start = helpers.iter().fold(options, |start, helper| start.words(["--with", &with_probe(helper)]));
    let running = start.words(command.iter().map(with_probe)).start();
    for name in names {
        running.wait_for_stdout(name, |text| text.contains(&format!("{name} ready-as ")));
    }
    Some(running)
}

/// The PID of a program with this name, as it has reported it.
fn pid_of(running: &Running, name: &str) -> i32 {
    let text = running.stdout();
    let report = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    let Some(Report::ReadyAs(pid, _)) = report else { panic!("{name}: {running}") };
    pid.cast_signed()
}

const MAIN: &[&str] = &["probe", "dispose", "Catches", "main"];
const RENAMED_MAIN: &[&str] = &["bash", "-c", "exec -a x probe dispose Catches main"];

#[test]
fn helpers_are_found_by_words_and_by_order() {
    const ONE: &str = "probe dispose Catches one";
    const RENAMED_ONE: &str = "bash -c 'exec -a main probe dispose Catches one'";
    const TWO: &str = "probe dispose Waits two";
    const GONE: &str = "-probe exit 0";
    let two_may_exit = &*format!("-{TWO}");
    for (helpers, command, expected) in [
        (&[ONE, two_may_exit][..], MAIN, [(Some("one"), SHUTS_DOWN), (Some("two"), MAY_EXIT)]),
        (&[GONE, ONE, TWO], RENAMED_MAIN, [(None, MAY_EXIT), (Some("one"), SHUTS_DOWN)]),
        (&[RENAMED_ONE, GONE, TWO], RENAMED_MAIN, [(Some("one"), SHUTS_DOWN), (Some("two"), SHUTS_DOWN)]),
        (
            &[RENAMED_ONE, "-bash -c 'exec -a x probe dispose Waits two'"],
            MAIN,
            [(Some("one"), SHUTS_DOWN), (Some("two"), MAY_EXIT)],
        ),
        // Only the age distinguishes the command from its helper.
        (
            &["probe dispose Catches main", ONE, TWO],
            MAIN,
            [(Some("one"), SHUTS_DOWN), (Some("two"), SHUTS_DOWN)],
        ),
    ] {
        for options in [&[][..], &["-c"], &["--drain", "0"]] {
            let Some(running) = start(options, helpers, command, &["one", "two", "main"]) else { return };
            let count = 1 + helpers.iter().filter(|helper| **helper != GONE).count();
            procfs::wait_until("the others are gone", || procfs::children(running.pid()).len() == count);
            let told = explain(&running, "--explain");
            for (name, consequence) in expected {
                let pid = name.map(|name| format!(" (PID {}): ", pid_of(&running, name)));
                told.expect_part(&format!("{}{consequence}\n", pid.as_deref().unwrap_or(": not running; ")));
            }
            let is_direct = |row: &Row| !row.is_late() && row.fate != "not signalled";
            assert!(told.rows.len() == count + 1 && told.rows.iter().all(is_direct), "{told}");
        }
    }
}

#[test]
fn command_is_uncertain_if_a_required_helper_is_gone() {
    let helper = &["probe dispose Dies helper"];
    let Some(running) = start(&[], helper, RENAMED_MAIN, &["helper", "main"]) else { return };
    send(Pid::from_raw(pid_of(&running, "helper")), libc::SIGKILL);
    procfs::wait_until("the helper is gone", || procfs::children(running.pid()).len() == 1);
    let told = explain(&running, "--explain");
    told.expect_part(&format!(": not running; {SHUTS_DOWN}\n"));
    let line =
        format!("PID {} seems to be the command, which may have exited before.", running.command_pid());
    told.expect_line(&line);
}

#[test]
fn exit_of_a_helper_by_the_signal_shuts_down() {
    for (helper, signals) in [("probe dispose Dies helper", true), ("-probe dispose Dies helper", false)] {
        // A child that would get no other signal than that of a shutdown.
        let script = "probe dispose Catches child & exec probe dispose Catches main";
        let script = script.replace("probe dispose Catches child", "setsid probe dispose Catches child");
        let command = &["sh", "-c", &*script];
        let Some(running) = start(&["--drain", "60s"], &[helper], command, &["helper", "main", "child"])
        else {
            return;
        };
        let told = explain(&running, "--explain=USR1");
        let fate = if signals { "catches it, later" } else { "not signalled" };
        told.expect("Dies helper", "terminates")
            .expect("Catches main", "catches it")
            .expect("Catches child", fate);
        running.signal(libc::SIGUSR1);
        running.wait_for_line(Report::Got(10).by("main"));
        if signals {
            running.wait_for_line(Report::Got(15).by("main"));
        }
    }
}

#[test]
fn stopped_helper_is_resumed_if_the_signal_asks_to_end() {
    let helper = &["probe dispose Catches helper"];
    for options in [&[][..], &["-c"]] {
        let Some(running) = start(options, helper, MAIN, &["helper", "main"]) else { return };
        let helper = pid_of(&running, "helper");
        send(Pid::from_raw(helper), libc::SIGSTOP);
        procfs::wait_for_state(Pid::from_raw(helper), 'T');
        for (signal, fate) in [("USR1", "is stopped"), ("TERM", "catches it")] {
            let told = explain(&running, &format!("--explain={signal}"));
            assert_eq!(told.row(helper).map(|row| &*row.fate), Some(fate), "{told}");
        }
        running.signal(libc::SIGTERM);
        running.wait_for_line(Report::Got(15).by("helper"));
    }
}

#[test]
fn helper_of_a_nested_init_is_reached() {
    let nested = init_under_test().display().to_string();
    let command = [&[&*nested, "--with", "probe dispose Catches helper", "--"], MAIN].concat();
    for options in [&["--forward", "tree"][..], &["--drain", "60s"]] {
        let Some(running) = start(options, &[], &command, &["helper", "main"]) else { return };
        let told = explain(&running, "--explain=USR1");
        for name in ["helper", "main"] {
            let fate = told.row(pid_of(&running, name)).map(|row| &*row.fate);
            assert_eq!(fate, Some("catches it"), "{told}");
        }
        running.signal(libc::SIGUSR1);
        for name in ["helper", "main"] {
            running.wait_for_line(Report::Got(10).by(name));
        }
    }
}

#[test]
fn signal_is_reported_as_held_by_the_hook() {
    const HELD: &str = "is held until the pre-stop hook sleep 1 has exited";
    for (options, signal, line) in [
        (&[][..], "TERM", format!("SIGTERM {HELD}, at most 11s, then forwarded as SIGTERM")),
        (
            &["--pre-stop-timeout", "2s"],
            "INT",
            format!("SIGINT {HELD}, at most 3s, then forwarded as SIGINT"),
        ),
        (&["--pre-stop-timeout=forever"], "QUIT", format!("SIGQUIT {HELD}, then forwarded as SIGQUIT")),
        (
            &["-r", "HUP:TERM"],
            "HUP",
            format!("SIGHUP {HELD}, at most 11s, then forwarded as SIGTERM: -r on its command line"),
        ),
        (
            &["--delay=TERM:5s"],
            "TERM",
            format!("SIGTERM {HELD} and 5s have passed, at most 11s, then forwarded as SIGTERM"),
        ),
        (
            &["--delay=TERM:50s"],
            "TERM",
            format!("SIGTERM {HELD} and 50s have passed, at most 50s, then forwarded as SIGTERM"),
        ),
        (&["--delay=HUP:5s"], "HUP", "SIGHUP is held for 5s, then forwarded as SIGHUP".into()),
        (&["-r", "TERM:0"], "TERM", "SIGTERM is not forwarded: -r on its command line".into()),
        (&[], "USR1", "SIGUSR1 is forwarded as SIGUSR1".into()),
    ] {
        let options: Vec<&str> =
            ["--pre-stop", "sleep 1", "--drain", "9s"].iter().chain(options).copied().collect();
        let Some(running) = start(&options, &[], MAIN, &["main"]) else { return };
        let told = explain(&running, &format!("--explain={signal}"));
        let is_forwarded = !line.contains("not forwarded");
        told.expect_line(&line).expect_code(i32::from(!is_forwarded));
        told.expect("Catches main", if is_forwarded { "catches it" } else { "not signalled" });
    }
}

#[test]
fn time_of_the_hook_is_part_of_the_shutdown() {
    if !can_have_pid_namespaces() {
        return;
    }
    let main = TWO.join(" ");
    for (options, time) in [
        (&["--drain", "5s"][..], format!("16s after {main} has exited")),
        (&["--pre-stop-timeout", "2s"], format!("3s until {main} has exited")),
        (&["--kill-after", "1s", "--delay=TERM:20s"], "21s".into()),
        (&["--pre-stop-timeout=forever"], "as long as the pre-stop hook".into()),
    ] {
        let Some(start) = init_beyond() else { return };
        let start = start.in_namespace().directory(Path::new("/"));
        let running = start.words(["--pre-stop", "true"]).words(options).words(TWO).start();
        wait_for_two(&running);
        explain(&running, "--explain").expect_part(&format!("The shutdown may take {time}: docker stop "));
    }
}
