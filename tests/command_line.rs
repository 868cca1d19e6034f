//! Meaning of a command line, and the messages for a wrong one.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::support::differences::{Original, tests_the_original, wanted_difference};
use crate::support::{Order, Outcome, Start, init, init_under_test};

const NO_COMMAND: &str = "Usage: dumb-init [option] program [args]\nTry dumb-init --help for full usage.\n";
const BAD_REWRITE: &str = "Usage: -r option takes <signum>:<signum>, where <signum> is between 1 and 31.\n\
                           This option can be specified multiple times.\n\
                           Use --help for full usage.\n";

fn run(words: &[&str]) -> Outcome {
    init().words(words).run()
}

/// A command line that is refused with this text, and starts nothing.
fn refused(words: &[&str], stderr: &str) {
    run(words).expect_code(1).expect_stdout("").expect_stderr(stderr);
}

/// Expects that the command line runs a command with status 0.
fn accepted(options: &[&str]) {
    init().words(options).probe(Order::Exit(0)).run().expect_code(0).expect_stdout("").expect_stderr("");
}

#[test]
fn missing_command_prints_usage() {
    for words in [&[][..], &["--"], &["-v"], &["-cv"], &["-r", "15:3"], &["-c", "--"]] {
        refused(words, NO_COMMAND);
    }
}

#[test]
fn unknown_option_is_refused_with_getopt_message() {
    for (words, text) in [
        (&["--yolo", "true"][..], "unrecognized option '--yolo'"),
        (&["--yolo=x", "true"], "unrecognized option '--yolo=x'"),
        (&["---x", "true"], "unrecognized option '---x'"),
        (&["--helpx"], "unrecognized option '--helpx'"),
        (&["-x", "true"], "invalid option -- 'x'"),
        (&["-cx", "true"], "invalid option -- 'x'"),
        (&["-c-", "true"], "invalid option -- '-'"),
        (&["-:", "true"], "invalid option -- ':'"),
        (&["-+", "true"], "invalid option -- '+'"),
        (&["-W", "true"], "invalid option -- 'W'"),
        (&["-r"], "option requires an argument -- 'r'"),
        (&["-cvr"], "option requires an argument -- 'r'"),
        (&["--rewrite"], "option '--rewrite' requires an argument"),
        (&["--rew"], "option '--rewrite' requires an argument"),
        (&["--help=3"], "option '--help' doesn't allow an argument"),
        (&["--verb=", "true"], "option '--verbose' doesn't allow an argument"),
        (&["--ver"], "option '--ver' is ambiguous; possibilities: '--verbose' '--version'"),
        (&["--v=1"], "option '--v=1' is ambiguous; possibilities: '--verbose' '--version'"),
        (
            &["--=3"],
            "option '--=3' is ambiguous; possibilities: '--help' '--single-child' '--rewrite' '--verbose' '--version'",
        ),
    ] {
        refused(words, &format!("dumb-init: {text}\n"));
    }
}

#[test]
fn messages_begin_with_argv_0() {
    let path = init_under_test();
    let outcome = Start::program(&path).words(["--yolo"]).run();
    outcome.expect_code(1).expect_stderr(&format!("{}: unrecognized option '--yolo'\n", path.display()));
}

#[test]
fn unknown_option_is_quoted_byte_for_byte() {
    let outcome = init().word(OsStr::from_bytes(b"--\xff\xfe")).word("true").run();
    outcome.expect_code(1);
    assert_eq!(outcome.stderr, b"dumb-init: unrecognized option '--\xff\xfe'\n", "{outcome}");
    // The first byte of a letter of two, as getopt(3) sees it.
    let outcome = init().words(["-\u{e9}", "true"]).run();
    outcome.expect_code(1);
    assert_eq!(outcome.stderr, b"dumb-init: invalid option -- '\xc3'\n", "{outcome}");
}

/// The lines about a bad `-r`. The original does not name it.
fn bad_rewrite(value: &str) -> String {
    if tests_the_original() { BAD_REWRITE.to_owned() } else { [BAD_REWRITE, &not_a_rewrite(value)].concat() }
}

fn not_a_rewrite(value: &str) -> String {
    let is = "SIGNAL:SIGNAL or SIGNAL:0 (15:3, TERM:QUIT, HUP:0)";
    format!("dumb-init: option '-r' takes {is}, not '{value}'\n")
}

#[test]
fn bad_rewrite_is_named_on_a_line_of_its_own() {
    wanted_difference("24. Additional lines after errors", Original::Fails, || {
        for value in ["TERM", "15:x", "-c", ""] {
            let stderr = run(&["-r", value, "true"]).expect_code(1).stderr();
            assert_eq!(stderr.strip_prefix(BAD_REWRITE), Some(not_a_rewrite(value).as_str()));
        }
    });
}

#[test]
fn invalid_rewrite_is_refused_before_the_start() {
    for value in [
        "", "15", "15:", ":3", "x", "15:x", "15 :3", "0:3", "32:3", "15:32", "33:3", "65:3", "15:65",
        "15:-1", "=15:3", "0x0f:3",
    ] {
        refused(&["-r", value, "echo", "started"], &bad_rewrite(value));
        refused(&[&format!("--rewrite={value}"), "echo", "started"], &bad_rewrite(value));
    }
    refused(&["-r", "15:2", "-r", "15:99", "true"], &bad_rewrite("15:99"));
    // The next word is the value, even if it looks like an option.
    refused(&["-r", "-c", "true"], &bad_rewrite("-c"));
    refused(&["-r", "--", "true"], &bad_rewrite("--"));
}

#[test]
fn rewrite_is_parsed_like_scanf() {
    for value in ["15:3", " 15:3", "+15: +3", "15:3 \n", "015:3", "31:31", "15:-0", "4294967311:4294967297"] {
        accepted(&["-r", value]);
    }
    for value in ["15:3x", "15:3:4", "15:0x9"] {
        init().words(["-r", value]).probe(Order::Exit(6)).run().expect_code(6);
    }
}

#[test]
fn options_are_clustered_and_abbreviated_like_getopt_long() {
    for options in [
        &["-r15:3"][..],
        &["-cr15:3"],
        &["-cr", "15:3"],
        &["--rewrite=15:3"],
        &["--rewrite", "15:3"],
        &["--rew=15:3"],
        &["--r", "15:3"],
        &["--s", "--single-ch"],
        &["-c", "-c", "-cc"],
        &["-c", "--"],
        &["--"],
    ] {
        accepted(options);
    }
    let outcome = init().word("--verb").probe(Order::Exit(0)).run();
    assert!(outcome.expect_code(0).stderr().contains("setsid complete."), "{outcome}");
}

#[test]
fn options_end_at_the_first_other_word() {
    for (words, stdout) in [
        (&["echo", "-v", "--", "-x"][..], "-v -- -x\n"),
        (&["--", "echo", "-V"], "-V\n"),
        (&["-c", "echo", "--yolo"], "--yolo\n"),
    ] {
        run(words).expect_code(0).expect_stdout(stdout).expect_stderr("");
    }
    // A dash alone is a word like any other, and so is an option behind `--`.
    run(&["-"]).expect_code(2).expect_stderr("[dumb-init] -: No such file or directory\n");
    run(&["--", "-V"]).expect_code(2).expect_stderr("[dumb-init] -V: No such file or directory\n");
}

#[test]
fn options_apply_in_command_line_order() {
    let version = run(&["-V"]).stderr();
    for words in [&["-V", "-x"][..], &["-Vx"], &["-V", "-r", "bad"], &["--vers", "-h"], &["-cV", "echo", "x"]]
    {
        run(words).expect_code(0).expect_stdout("").expect_stderr(&version);
    }
    refused(&["-x", "-V"], "dumb-init: invalid option -- 'x'\n");
    refused(&["-xV"], "dumb-init: invalid option -- 'x'\n");
    refused(&["-r", "bad", "-V"], &bad_rewrite("bad"));
    refused(&["-r", "bad", "-x"], &bad_rewrite("bad"));
    refused(&["-x", "-r", "bad"], "dumb-init: invalid option -- 'x'\n");
    let help = run(&["-h", "-V"]).stderr();
    assert!(help.starts_with(&version) && help.len() > version.len(), "{help}");
}

#[test]
fn help_and_version_go_to_stderr() {
    let version = run(&["--version"]);
    version.expect_code(0).expect_stdout("");
    assert!(version.stderr().starts_with("dumb-init v1."), "{version}");
    assert_eq!(version.stderr().lines().count(), 1, "{version}");
    for word in ["-h", "--help", "--he"] {
        let help = run(&[word]);
        help.expect_code(0).expect_stdout("");
        assert_eq!(help.stderr().lines().next(), Some(version.stderr().trim_end()), "{help}");
        for option in ["-c, --single-child", "-r, --rewrite", "-v, --verbose", "-h, --help", "-V, --version"]
        {
            assert!(help.stderr().contains(option), "no {option}\n{help}");
        }
    }
}

#[test]
fn single_p_runs_no_command() {
    wanted_difference("22. `-P` as the only argument", Original::Fails, || {
        for number in [libc::SIGTERM, libc::SIGINT] {
            let running = init().word("-P").variable("DUMB_INIT_DEBUG", "1").start();
            running.wait_for_debug_line("Running in debug mode.");
            running.signal(libc::SIGUSR1);
            running.wait_for_debug_line("Received signal 10.");
            running.signal(number);
            running.outcome().expect_code(0).expect_stdout("");
        }
        // The first word may be split.
        let running = init().words(["-S", "-P"]).variable("DUMB_INIT_DEBUG", "1").start();
        running.wait_for_debug_line("Running in debug mode.");
        running.signal(libc::SIGTERM);
        running.outcome().expect_code(0);
        let text = "dumb-init: variable DUMB_INIT_SUBREAPER takes 1 or 0, not 'x'\n";
        init().word("-P").variable("DUMB_INIT_SUBREAPER", "x").run().expect_code(1).expect_stderr(text);
    });
    // With other words it is no option.
    for words in [&["-P", "true"][..], &["-v", "-P"], &["-P", "-P"], &["-Pv"], &["-P", "--"]] {
        refused(words, "dumb-init: invalid option -- 'P'\n");
    }
}

#[test]
fn help_text_is_our_own() {
    wanted_difference("1. The help text", Original::Fails, || {
        let help = run(&["--help"]).stderr();
        assert!(help.starts_with(&format!("dumb-init v{}\n", env!("CARGO_PKG_VERSION"))), "{help}");
        assert!(help.contains("DUMB_INIT_SETSID=0"), "{help}");
        // The original's five options come first, as a group.
        let groups: Vec<&str> =
            help.lines().filter(|line| line.ends_with(':') && !line.contains(' ')).collect();
        let first = help.split("Options of the original:").nth(1).and_then(|rest| rest.split("\n\n").next());
        let options =
            first.unwrap_or_default().lines().filter(|line| line.trim_start().starts_with('-')).count();
        assert_eq!((options, groups), (5, vec!["Shutdown:", "Start:", "Diagnosis:"]), "{help}");
        assert!(help.lines().all(|line| line.len() <= 80), "{help}");
    });
}
