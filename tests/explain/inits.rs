//! What is read back of an init, and what is advised.

use std::path::Path;
use std::process::Command;

use super::{Told, explain, explainer, wait_for_two, waits_for_signals};
use crate::support::{
    Condition, Disposition, Order, Report, Running, Scratch, Start, built_init, can_have_pid_namespaces,
    init, init_beyond, init_under_test, is_root, probe_as, procfs, skip, with_probe,
};

fn wait_for_ready(running: &Running, times: usize) {
    running.wait_for_stdout("everybody who is ready", |text| {
        text.matches(&Report::Ready.to_string()).count() == times
    });
}

/// A script in which `probe` is the probe.
fn script(scratch: &Scratch, first_line: &str, text: &str) -> std::path::PathBuf {
    let text = with_probe(text);
    scratch.file("start.sh", &format!("#!{first_line}\n{text}\n"), 0o755)
}

#[test]
fn settings_are_read_from_the_init_process() {
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
        let running = start.words(words).probe(Order::Hang).start();
        running.wait_for_line(Report::Ready);
        let told = explain(&running, "--explain");
        let expected = format!("dumb-init (PID {}) forwards to {line}", running.pid());
        told.expect_code(0).expect_line(&expected).expect("hang", "terminates");
    }
}

#[test]
fn rewrite_and_delay_are_reported() {
    let Some(start) = init_beyond() else { return };
    let words = ["-r", "TERM:QUIT", "-r", "HUP:0", "--delay", "TERM:5s"];
    let running = start.words(words).probe(Order::Dispose(Disposition::Catches, "it")).start();
    wait_for_ready(&running, 1);
    let told = explain(&running, "--explain");
    told.expect_code(0)
        .expect_line("SIGTERM is held for 5s, then forwarded as SIGQUIT: -r on its command line");
    told.expect("dispose", "catches it");
    assert_eq!(
        told.rows.iter().find(|row| row.command.contains("--delay")).map(|row| &*row.fate),
        Some("forwards it")
    );
    let told = explain(&running, "--explain=HUP");
    told.expect_code(1).expect_line("SIGHUP is not forwarded: -r on its command line");
    told.expect("dispose Catches", "not signalled").expect_no_advice();
}

#[test]
fn shell_waiting_for_one_program_is_advised_a_drain() {
    let scratch = Scratch::new();
    let script = script(&scratch, "/bin/sh", &format!("probe {hang}\n:", hang = Order::Hang));
    let running = init().word(&script).start();
    running.wait_for_line(Report::Ready);
    explain(&running, "--explain").expect_code(1).expect_part("DUMB_INIT_DRAIN=10s");
    let running = init().probe(Order::Hang).start();
    running.wait_for_line(Report::Ready);
    explain(&running, "--explain").expect_code(0).expect_no_advice();
}

#[test]
fn option_is_advised_if_no_variable_can_override() {
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
fn shell_form_entrypoint_is_pointed_out() {
    if !can_have_pid_namespaces() {
        return;
    }
    let scratch = Scratch::new();
    let script = script(
        &scratch,
        "/bin/sh",
        &format!("{} probe {hang}\n:", init_under_test().display(), hang = Order::Hang),
    );
    let running = Start::program(script).in_namespace().start();
    running.wait_for_line(Report::Ready);
    let told = explain(&running, "--explain");
    let fates: Vec<&str> = told.rows.iter().map(|row| &*row.fate).collect();
    assert_eq!(fates, ["discarded", "not signalled", "not signalled"], "{told}");
    told.expect_code(1);
    told.expect_part("sh (PID 1) is a shell: it forwards no signal, unless a trap in its script does\n");
    told.expect_line("Try: the exec form, ENTRYPOINT [\"dumb-init\", ...], so that dumb-init is PID 1");
}

#[test]
fn service_as_pid_1_without_init_is_warned() {
    if !can_have_pid_namespaces() {
        return;
    }
    let as_pid_1 = |disposition| {
        let words = probe_as(Order::Dispose(disposition, "it"));
        let running = Start::program(&words[0]).words(&words[1..]).in_namespace().start();
        wait_for_ready(&running, 1);
        explain(&running, "--explain")
    };
    let told = as_pid_1(Disposition::Dies);
    told.expect_code(1).expect_line("probe (PID 1) runs without an init");
    told.expect_line("Not signalled: 1 of 1 processes.");
    told.expect_line("Try: an entrypoint of dumb-init with DUMB_INIT_DRAIN=10s");
    assert_eq!(told.row(1).map(|row| &*row.fate), Some("discarded"), "{told}");
    let told = as_pid_1(Disposition::Catches);
    told.expect_code(0).expect_no_advice();
    assert_eq!(told.row(1).map(|row| &*row.fate), Some("catches it"), "{told}");
}

#[test]
fn forwarding_by_an_unknown_pid_1_is_reported_as_unknown() {
    if !can_have_pid_namespaces() {
        return;
    }
    let words = probe_as(Order::RecordingTree(1, 4, "no-init", 0));
    let running = Start::program(&words[0]).words(&words[1..]).in_namespace().start();
    running.wait_for_stdout("everybody who is ready", |text| text.matches(" ready-as ").count() == 4);
    procfs::wait_until("the first one waits", || waits_for_signals(running.pid()));
    let told = explain(&running, "--explain");
    told.expect_code(1).expect_part("(PID 1) is no known init: it may or may not forward signals\n");
    let fates = told.rows.iter().map(|row| &*row.fate).filter(|fate| *fate != "zombie");
    assert_eq!(fates.collect::<Vec<_>>(), ["waits for it", "unknown", "unknown", "unknown"], "{told}");
}

#[test]
fn variables_of_another_users_init_are_reported_as_unknown() {
    if !is_root() {
        return;
    }
    let running = init().variable("DUMB_INIT_SETSID", "0").probe(Order::Hang).start();
    running.wait_for_line(Report::Ready);
    let told = Told::of(explainer(&running).condition(Condition::User(1000)).word("--explain").run());
    told.expect_code(1).expect_line("Its environment cannot be read: variables in it may change this.");
    told.expect_line(
        "Try: --explain as the user of the init, to read its environment: docker exec --user 0:0",
    );
}

#[test]
fn init_whose_file_has_capabilities_is_read_by_root_only() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let init = scratch.path().join("dumb-init");
    std::fs::rename(scratch.executable_copy(&built_init()), &init).expect("another name");
    let setcap = Command::new("setcap").arg("cap_kill+ep").arg(&init).status();
    if !setcap.is_ok_and(|status| status.success()) {
        skip("setcap is missing, or the file system has no capabilities");
        return;
    }
    let as_user = || Start::program("setpriv").words(["--reuid=1000", "--regid=1000", "--clear-groups"]);
    let running = as_user().word(&init).probe(Order::Hang).start();
    running.wait_for_line(Report::Ready);
    let words = ["--pid", &running.pid().to_string(), "--explain"];
    let told = Told::of(as_user().word(built_init()).words(words).run());
    told.expect_code(1).expect_line("Its environment cannot be read: variables in it may change this.");
    told.expect_line(
        "Try: --explain as root with CAP_SYS_PTRACE, since the file of the init has capabilities: \
         docker exec --privileged --user 0",
    );
    explain(&running, "--explain").expect_code(0).expect_no_advice();
}

#[test]
fn command_is_found_among_older_children() {
    // A shell's child that becomes the init's, with the same words as nobody else.
    for option in ["-c", "-v"] {
        let text = format!(
            "probe {record} & exec {} {option} probe {hang}",
            init_under_test().display(),
            record = Order::Record(64),
            hang = Order::Hang
        );
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
fn variables_of_another_users_other_init_are_unknown() {
    if !is_root() {
        return;
    }
    let tini = "/usr/bin/tini";
    if !Path::new(tini).exists() {
        skip("tini is not installed");
        return;
    }
    let running = Start::program(tini).words(["-s", "--"]).probe(Order::Hang).start();
    running.wait_for_line(Report::Ready);
    explain(&running, "--explain").expect_code(0);
    let told = Told::of(explainer(&running).condition(Condition::User(1000)).word("--explain").run());
    told.expect_code(1).expect_line("Its environment cannot be read: variables in it may change this.");
}
