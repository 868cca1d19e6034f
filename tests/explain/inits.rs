//! What is read back of an init, and what is advised.

use std::path::Path;

use super::{Told, explain, explainer, wait_for_two, waits_for_signals};
use crate::support::{
    Running, Scratch, Start, can_have_pid_namespaces, init, init_beyond, init_under_test, procfs, role, skip,
};

fn wait_for_ready(running: &Running, times: usize) {
    running.wait_for_stdout("everybody who is ready", |text| text.matches("ready").count() == times);
}

/// A script in which `probe` is the probe.
fn script(scratch: &Scratch, first_line: &str, text: &str) -> std::path::PathBuf {
    let text = text.replace("probe", &crate::support::probe().display().to_string());
    scratch.file("start.sh", &format!("#!{first_line}\n{text}\n"), 0o755)
}

#[test]
fn the_settings_are_those_that_the_init_has_read() {
    for (words, variables, line) in [
        (&["-c"][..], &[][..], "its direct child alone: -c on its command line"),
        (&["--single-child"], &[], "its direct child alone: -c on its command line"),
        (
            &["-c", "--forward", "group"],
            &[],
            "the process group of its child: --forward group on its command line",
        ),
        (&["--forward=group", "-c"], &[], "its direct child alone: -c on its command line"),
        (
            &["--forward", "tree"],
            &[("DUMB_INIT_FORWARD", "child")],
            "every descendant: --forward tree on its command line",
        ),
        (
            &[],
            &[("DUMB_INIT_FORWARD", "child")],
            "its direct child alone: DUMB_INIT_FORWARD=child in its environment",
        ),
        (
            &[],
            &[("DUMB_INIT_FORWARD", "group"), ("DUMB_INIT_SETSID", "0")],
            "the process group of its child: DUMB_INIT_FORWARD=group in its environment",
        ),
        (
            &[],
            &[("DUMB_INIT_FORWARD", ""), ("DUMB_INIT_SETSID", "0")],
            "its direct child alone: DUMB_INIT_SETSID=0 in its environment",
        ),
        (&[], &[("DUMB_INIT_LINGER", "1")], "every descendant, since it lingers"),
        (&["-S", "-c --"], &[], "its direct child alone: -c on its command line"),
    ] {
        let Some(start) = init_beyond() else { return };
        let start = variables.iter().fold(start, |start, (name, value)| start.variable(name, value));
        let running = start.words(words).words(role(["hang"])).start();
        running.wait_for_line("ready");
        let told = explain(&running, "--explain");
        let expected = format!("dumb-init (PID {}) forwards to {line}", running.pid());
        told.expect_code(0).expect_line(&expected).expect("hang", "terminates");
    }
}

#[test]
fn a_rewrite_and_a_delay_are_told() {
    let Some(start) = init_beyond() else { return };
    let words = ["-r", "TERM:QUIT", "-r", "HUP:0", "--delay", "TERM:5s"];
    let running = start.words(words).words(role(["manner", "Catches", "it"])).start();
    wait_for_ready(&running, 1);
    let told = explain(&running, "--explain");
    told.expect_code(0)
        .expect_line("SIGTERM is held for 5s, then forwarded as SIGQUIT: -r on its command line");
    told.expect("manner", "catches it");
    assert_eq!(
        told.rows.iter().find(|row| row.command.contains("--delay")).map(|row| &*row.fate),
        Some("forwards it")
    );
    let told = explain(&running, "--explain=HUP");
    told.expect_code(1).expect_line("SIGHUP is not forwarded: -r on its command line");
    told.expect("manner Catches", "not signalled").expect_no_advice();
}

#[test]
fn shell_that_waits_for_one_program_needs_a_drain() {
    let scratch = Scratch::new();
    let running = init().word(script(&scratch, "/bin/sh", "probe hang\n:")).start();
    running.wait_for_line("ready");
    let told = explain(&running, "--explain");
    told.expect_code(1).expect_part("DUMB_INIT_DRAIN=10s");
    let running = init().word(crate::support::probe()).word("hang").start();
    running.wait_for_line("ready");
    explain(&running, "--explain").expect_code(0).expect_no_advice();
}

#[test]
fn what_a_variable_can_not_change_is_advised_as_an_option() {
    let Some(start) = init_beyond() else { return };
    let words = ["sh", "-c", "sleep 600 & sleep 600; :"];
    let running = start.word("-c").words(words).start();
    wait_for_two(&running);
    let told = explain(&running, "--explain");
    told.expect_line("Try: --forward group in place of -c, DUMB_INIT_DRAIN=10s");
    let Some(start) = init_beyond() else { return };
    let running = start.words(["-c", "--forward", "group", "--drain", "10s", "--"]).words(words).start();
    wait_for_two(&running);
    explain(&running, "--explain").expect_code(0).expect_no_advice();
}

#[test]
fn an_entrypoint_in_shell_form_is_pointed_out() {
    if !can_have_pid_namespaces() {
        return;
    }
    let scratch = Scratch::new();
    let script = script(&scratch, "/bin/sh", &format!("{} probe hang\n:", init_under_test().display()));
    let running = Start::program(script).in_namespace().start();
    running.wait_for_line("ready");
    let told = explain(&running, "--explain");
    let fates: Vec<&str> = told.rows.iter().map(|row| &*row.fate).collect();
    assert_eq!(fates, ["discarded", "not signalled", "not signalled"], "{told}");
    told.expect_code(1);
    told.expect_part("sh (PID 1) is a shell: it forwards no signal, unless a trap in its script does\n");
    told.expect_line("Try: the exec form, ENTRYPOINT [\"dumb-init\", ...], so that dumb-init is PID 1");
}

#[test]
fn a_service_without_an_init_is_told_what_it_is_in_for() {
    if !can_have_pid_namespaces() {
        return;
    }
    let as_pid_1 = |manner| {
        let running =
            Start::program(crate::support::probe()).words(["manner", manner, "it"]).in_namespace().start();
        wait_for_ready(&running, 1);
        explain(&running, "--explain")
    };
    let told = as_pid_1("Dies");
    told.expect_code(1).expect_line("probe (PID 1) runs without an init");
    told.expect_line("Not signalled: 1 of 1 processes.");
    told.expect_line("Try: an entrypoint of dumb-init with DUMB_INIT_DRAIN=10s");
    assert_eq!(told.row(1).map(|row| &*row.fate), Some("discarded"), "{told}");
    let told = as_pid_1("Catches");
    told.expect_code(0).expect_no_advice();
    assert_eq!(told.row(1).map(|row| &*row.fate), Some("catches it"), "{told}");
}

#[test]
fn whoever_else_the_first_process_is_it_is_not_known_whether_it_forwards() {
    if !can_have_pid_namespaces() {
        return;
    }
    let words = role(["crew", "1", "4", "no init", "0"]);
    let running = Start::program(&words[0]).words(&words[1..]).in_namespace().start();
    running.wait_for_stdout("everybody who is ready", |text| text.matches(" ready ").count() == 4);
    procfs::wait_until("the first one waits", || waits_for_signals(running.pid()));
    let told = explain(&running, "--explain");
    told.expect_code(1).expect_part("(PID 1) is no known init: it may or may not forward signals\n");
    let fates = told.rows.iter().map(|row| &*row.fate).filter(|fate| *fate != "zombie");
    assert_eq!(fates.collect::<Vec<_>>(), ["waits for it", "unknown", "unknown", "unknown"], "{told}");
}

#[test]
fn an_init_of_another_user_keeps_its_variables_to_itself() {
    if !nix::unistd::geteuid().is_root() {
        skip("only for root");
        return;
    }
    let running = init().variable("DUMB_INIT_SETSID", "0").words(role(["hang"])).start();
    running.wait_for_line("ready");
    let told = Told::of(explainer(&running).condition("user=1000").word("--explain").run());
    told.expect_code(1).expect_line("Its environment cannot be read: variables in it may change this.");
    told.expect_line(
        "Try: --explain as the user of the init, to read its environment: docker exec --user 0:0",
    );
}

#[test]
fn the_command_is_found_among_older_children() {
    // A shell's child that becomes the init's, with the same words as nobody else.
    for option in ["-c", "-v"] {
        let text = format!("probe record 64 & exec {} {option} probe hang", init_under_test().display());
        let scratch = Scratch::new();
        let running = Start::program(script(&scratch, "/bin/sh", &text)).start();
        wait_for_ready(&running, 2);
        let told = explain(&running, "--explain");
        told.expect("hang", "terminates");
        assert_eq!(
            told.rows.iter().find(|row| row.command.ends_with("record 64")).map(|row| &*row.fate),
            Some("not signalled"),
            "{told}"
        );
    }
}

#[test]
fn another_init_of_another_user_keeps_its_variables_to_itself_too() {
    if !nix::unistd::geteuid().is_root() {
        skip("only for root");
        return;
    }
    let tini = "/usr/bin/tini";
    if !Path::new(tini).exists() {
        skip("tini is not installed");
        return;
    }
    let running = Start::program(tini).words(["-s", "--"]).words(role(["hang"])).start();
    running.wait_for_line("ready");
    explain(&running, "--explain").expect_code(0);
    let told = Told::of(explainer(&running).condition("user=1000").word("--explain").run());
    told.expect_code(1).expect_line("Its environment cannot be read: variables in it may change this.");
}
