//! The file that is executed, and the message and exit code 2 if there is none.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::support::differences::{Original, wanted_difference};
use crate::support::{Scratch, init, init_beyond};

fn not_executed(name: &OsStr, text: &str) {
    let outcome = init().word(name).run();
    outcome.expect_code(2).expect_stdout("");
    let expected = [b"[dumb-init] ", name.as_bytes(), b": ", text.as_bytes(), b"\n"].concat();
    // The reason follows, if the init knows one.
    let lines = outcome.stderr.split_inclusive(|&byte| byte == b'\n').next();
    assert_eq!(lines, Some(expected.as_slice()), "{outcome}");
}

#[test]
fn reason_of_a_failed_exec_is_named() {
    wanted_difference("24. Additional lines after errors", Original::Fails, || {
        let scratch = Scratch::new();
        let path = |name: &str| scratch.path().join(name).display().to_string();
        scratch.file("missing", "#!/nonexistent/shell -e\n", 0o755);
        scratch.file("dos", "#!/bin/sh\r\nexit 0\r\n", 0o755);
        scratch.file("control", "#!/\u{1b}[31m\n", 0o755);
        scratch.file("plain", "", 0o644);
        std::fs::create_dir(scratch.path().join("directory")).expect("a directory");
        nix::unistd::mkfifo(&scratch.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        let (not_found, denied) = ("No such file or directory", "Permission denied");
        let dos = "; the #! line ends with a carriage return (DOS line end)";
        for (name, error, reason) in [
            ("missing", not_found, "its interpreter '/nonexistent/shell' is missing.".to_owned()),
            ("dos", not_found, format!("its interpreter '/bin/sh\\r' is missing{dos}.")),
            ("control", not_found, "its interpreter '/\\u{1b}[31m' is missing.".to_owned()),
            ("directory", denied, "it is a directory.".to_owned()),
            // Nothing is known about these.
            ("plain", denied, String::new()),
            ("fifo", denied, String::new()),
            ("nonexistent", not_found, String::new()),
        ] {
            let file = path(name);
            let reason = if reason.is_empty() { reason } else { format!("[dumb-init] {file}: {reason}\n") };
            let line = |name: &str| format!("[dumb-init] {name}: {error}\n");
            let outcome = init().words([file.as_str(), "a"]).run();
            outcome.expect_code(2).expect_stdout("").expect_stderr(&(line(&file) + &reason));
            // Found in PATH, the file is named by its path.
            let outcome = init().word(name).variable("PATH", format!("/:{}", scratch.path().display())).run();
            outcome.expect_code(2).expect_stderr(&(line(name) + &reason));
        }
    });
}

#[test]
fn missing_dynamic_loader_is_named() {
    let Some(start) = init_beyond() else { return };
    let scratch = Scratch::new();
    let Ok(mut program) = std::fs::read("/bin/true") else { return };
    let loader = program.windows(4).position(|bytes| bytes == b"/lib").expect("the path of the loader");
    program[loader + 1] = b'L';
    let path = scratch.file("program", "", 0o755);
    std::fs::write(&path, program).expect("a program");
    let (path, error) = (path.display(), "No such file or directory");
    let reason = "its dynamic loader is missing; it may need another C library.";
    let lines = format!("[dumb-init] {path}: {error}\n[dumb-init] {path}: {reason}\n");
    start.word(path.to_string()).run().expect_code(2).expect_stderr(&lines);
}

#[test]
fn command_line_in_one_word_is_recognised() {
    wanted_difference("24. Additional lines after errors", Original::Fails, || {
        let advice =
            "[dumb-init] The command is one word with blanks; run a command line with sh -c '...'.\n";
        for (words, advice) in [
            (&["nonexistent --port 80"][..], advice),
            (&["nonexistent --port 80", "x"], ""),
            (&["nonexistent"], ""),
        ] {
            let line = format!("[dumb-init] {}: No such file or directory\n{advice}", words[0]);
            init().words(words).run().expect_code(2).expect_stderr(&line);
        }
        // A name with a blank may be that of a file.
        let script = Scratch::new();
        let script = script.file("a script", "#!/nonexistent/shell\n", 0o755);
        let outcome = init().word(&script).run();
        assert!(!outcome.stderr().contains("one word"), "{}", outcome.expect_code(2));
    });
}

#[test]
fn exec_failure_is_reported_with_strerror_text() {
    let scratch = Scratch::new();
    let plain = scratch.file("plain", "echo never", 0o644);
    let interpreted = scratch.file("interpreted", "#!/nonexistent/interpreter\n", 0o755);
    let looped = scratch.path().join("looped");
    std::os::unix::fs::symlink(&looped, &looped).unwrap();
    let below_a_file = plain.join("x");
    // Not just anywhere: to an image's file system it may be none that is too long (FUSE_NAME_MAX).
    let long = scratch.path().join("x".repeat(300));
    for (name, text) in [
        (OsStr::new("/nonexistent"), "No such file or directory"),
        (OsStr::new("nonexistent-command"), "No such file or directory"),
        (OsStr::new("a name"), "No such file or directory"),
        (OsStr::new(""), "No such file or directory"),
        (OsStr::from_bytes(b"b\xff\xfe"), "No such file or directory"),
        (scratch.path().as_os_str(), "Permission denied"),
        (plain.as_os_str(), "Permission denied"),
        (interpreted.as_os_str(), "No such file or directory"),
        (below_a_file.as_os_str(), "Not a directory"),
        (looped.as_os_str(), "Too many levels of symbolic links"),
        (long.as_os_str(), "File name too long"),
    ] {
        not_executed(name, text);
    }
}

#[test]
fn long_command_name_is_quoted_whole() {
    let name = format!("/{}", "x".repeat(100_000));
    not_executed(OsStr::new(&name), "File name too long");
}

#[test]
fn overlong_name_is_reported_as_missing_with_its_directory() {
    let name = "x".repeat(256);
    let scratch = Scratch::new();
    let existing = format!("/nonexistent:{}", scratch.path().display());
    for (path, text) in [("/nonexistent", "No such file or directory"), (&existing, "File name too long")] {
        let outcome = init().word(&name).variable("PATH", path).run();
        outcome.expect_code(2).expect_stderr(&format!("[dumb-init] {name}: {text}\n"));
    }
}

#[test]
fn overlong_path_directory_is_skipped() {
    wanted_difference("12. Too long a directory in PATH", Original::Fails, || {
        let scratch = Scratch::new();
        scratch.file("tool", "", 0o755);
        let path = format!("/{}:/nonexistent", "x".repeat(5000));
        let outcome = init().word("tool").directory(scratch.path()).variable("PATH", path).run();
        outcome.expect_code(2).expect_stderr("[dumb-init] tool: No such file or directory\n");
    });
}

#[test]
fn script_without_interpreter_is_run_by_the_shell() {
    let scratch = Scratch::new();
    let script = scratch.file("script", "echo \"$0\" \"$@\"; exit 7\n", 0o755);
    let outcome = init().word(&script).words(["a", "b c"]).run();
    outcome.expect_code(7).expect_stdout(&format!("{} a b c\n", script.display())).expect_stderr("");
    // Found in PATH, it is named by the path under which it was found.
    let outcome = init().words(["script", "a"]).variable("PATH", scratch.path()).run();
    outcome.expect_code(7).expect_stdout(&format!("{} a\n", script.display()));
    let empty = scratch.file("empty", "", 0o755);
    init().word(empty).run().expect_code(0).expect_stdout("").expect_stderr("");
}

#[test]
fn command_is_searched_like_execvp() {
    let scratch = Scratch::new();
    scratch.file("denied", "", 0o644);
    let tool = scratch.file("tool", "#!/bin/sh\necho found as $0\n", 0o755);
    let path = |path: &str| init().directory(scratch.path()).variable("PATH", path);

    path(&format!("/nonexistent:{}", scratch.path().display()))
        .words(["tool"])
        .run()
        .expect_code(0)
        .expect_stdout(&format!("found as {}\n", tool.display()));
    // An empty directory in PATH is the current one, and so is an empty PATH.
    path(":/bin").words(["tool"]).run().expect_code(0).expect_stdout("found as tool\n");
    path("").words(["tool"]).run().expect_code(0).expect_stdout("found as tool\n");
    // A file without execute permission takes precedence over a missing file.
    let here = scratch.path().display();
    let outcome = path(&format!("{here}:/nonexistent")).words(["denied"]).run();
    outcome.expect_code(2).expect_stderr("[dumb-init] denied: Permission denied\n");
    let outcome = path(&format!("/nonexistent:{here}/tool")).words(["x"]).run();
    outcome.expect_code(2).expect_stderr("[dumb-init] x: Not a directory\n");
}

#[test]
fn exec_failure_is_logged_with_debug_lines() {
    let outcome = init().words(["-vc", "/nonexistent"]).run();
    outcome.expect_code(2);
    let lines: Vec<String> = outcome.stderr().lines().map(str::to_owned).collect();
    assert!(lines.contains(&"[dumb-init] /nonexistent: No such file or directory".into()), "{outcome}");
    assert_eq!(lines.last().unwrap(), "[dumb-init] Child exited with status 2. Goodbye.", "{outcome}");
}
