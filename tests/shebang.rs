//! The init in the `#!` line of a script, with and without a program to run.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::differences::tests_the_original;
use crate::support::{Condition, Outcome, Scratch, Start, init_under_test, skip};

/// A directory with the init, called `dumb-init`.
fn directory() -> (Scratch, PathBuf) {
    let scratch = Scratch::new();
    let copy = scratch.executable_copy(&init_under_test());
    let init = copy.with_file_name("dumb-init");
    std::fs::rename(copy, &init).expect("rename");
    (scratch, init)
}

/// Runs a program as a user with a limit of processes, so that an endless chain of inits ends.
fn with_few_processes(program: &Path, words: &[&str], path: &Path) -> Outcome {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // One that has no other processes.
    let user = 60_000 + (std::process::id() * 50 + COUNT.fetch_add(1, Ordering::Relaxed)) % 5000;
    let path = format!("{}:/usr/bin:/bin", path.display());
    Start::program(program)
        .condition(Condition::User(user))
        .condition(Condition::Processes(12))
        .variable("PATH", path)
        .words(words)
        .run()
}

/// Whether processes can be limited here. The original starts as many as it may.
fn can_be_tried() -> bool {
    !tests_the_original() && (nix::unistd::geteuid().is_root() || skip("only root can be another user"))
}

#[test]
fn shebang_without_program_is_refused() {
    if !can_be_tried() {
        return;
    }
    let (scratch, init) = directory();
    let init = init.display();
    for (options, right) in [
        ("", "/bin/sh"),
        (" --", "/bin/sh"),
        (" -c", "-S -c /bin/sh"),
        (" -S -v --drain 1s", "-S -v --drain 1s /bin/sh"),
    ] {
        let script = scratch.file("script", &format!("#!{init}{options}\nexit 7\n"), 0o755);
        let line = format!(
            "[dumb-init] {}: its #! line names no program to run; write \"#!{init} {right}\"\n",
            script.display()
        );
        for words in [&[][..], &["a", "b"]] {
            with_few_processes(&script, words, scratch.path())
                .expect_code(1)
                .expect_stdout("")
                .expect_stderr(&line);
        }
    }
}

#[test]
fn shebang_without_program_is_refused_behind_wrappers() {
    if !can_be_tried() {
        return;
    }
    let (scratch, init) = directory();
    let script = scratch.file("script", &format!("#!{}\n", init.display()), 0o755);
    let text = "its #! line names no program to run";
    let indirect = scratch.file("indirect", &format!("#!{}\n", script.display()), 0o755);
    let name = script.to_str().expect("a path");
    for (program, words) in [(&init, &[name][..]), (&init, &["-c", name]), (&indirect, &[])] {
        let outcome = with_few_processes(program, words, scratch.path());
        assert_eq!(outcome.expect_code(1).stderr().matches(text).count(), 1, "{outcome}");
    }
}

#[test]
fn env_shebang_without_program_is_refused() {
    if !can_be_tried() {
        return;
    }
    let (scratch, _init) = directory();
    for (named, right) in [
        ("dumb-init", "dumb-init /bin/sh"),
        ("-S dumb-init -c", "dumb-init -c /bin/sh"),
        ("-S dumb-init --", "dumb-init /bin/sh"),
    ] {
        let script = scratch.file("script", &format!("#!/usr/bin/env {named}\nexit 7\n"), 0o755);
        let line = format!(
            "[dumb-init] {}: its #! line names no program to run; write \"#!/usr/bin/env -S {right}\"\n",
            script.display()
        );
        with_few_processes(&script, &["a"], scratch.path())
            .expect_code(1)
            .expect_stdout("")
            .expect_stderr(&line);
    }
}

/// The line about the words that the kernel has passed as one.
fn advice(line: &str) -> String {
    format!("the #! line passes its words as one; write \"#!{line}\"\n")
}

#[test]
fn shebang_with_joined_options_shows_the_right_line() {
    if tests_the_original() {
        return;
    }
    let (scratch, init) = directory();
    let tini = init.with_file_name("tini");
    std::os::unix::fs::symlink(&init, &tini).expect("a link");
    let (init, tini) = (init.display(), tini.display());
    for (line, error, right) in [
        (
            format!("{init} --drain 10s /bin/sh"),
            format!("{init}: unrecognized option '--drain 10s /bin/sh'\n"),
            format!("{init} -S --drain 10s /bin/sh"),
        ),
        (
            format!("{init} -c /bin/sh"),
            format!("{init}: invalid option -- ' '\n"),
            format!("{init} -S -c /bin/sh"),
        ),
        (
            format!("{tini} -g /bin/sh"),
            format!("{tini}: invalid option -- ' '\n"),
            format!("/usr/bin/env -S {tini} -g /bin/sh"),
        ),
    ] {
        let script = scratch.file("script", &format!("#!{line}\nexit 7\n"), 0o755);
        let outcome = Start::program(&script).word("a").run();
        let program = line.split(' ').next().unwrap_or_default();
        let stderr = outcome.expect_code(1).stderr();
        assert!(
            stderr.starts_with(&error) && stderr.ends_with(&format!("{program}: {}", advice(&right))),
            "{outcome}"
        );
    }
    // Not so on a command line, or if the line is split.
    let outcome = Start::program(init.to_string()).words(["--drain 10s", "true"]).run();
    outcome.expect_code(1).expect_stderr(&format!("{init}: unrecognized option '--drain 10s'\n"));
    let script = scratch.file("script", &format!("#!{init} -S --drane 10s /bin/sh\n"), 0o755);
    let outcome = Start::program(&script).run();
    outcome.expect_code(1).expect_stderr(&format!("{init}: unrecognized option '--drane'\n"));
}

#[test]
fn joined_program_that_cannot_be_executed_shows_the_right_line() {
    if tests_the_original() {
        return;
    }
    let (scratch, init) = directory();
    let init = init.display();
    let script = scratch.file("script", &format!("#!{init} /bin/sh -e\nexit 7\n"), 0o755);
    let error = "[dumb-init] /bin/sh -e: No such file or directory\n";
    let right = format!("{error}[dumb-init] {}", advice(&format!("{init} -S /bin/sh -e")));
    Start::program(&script).word("a").run().expect_code(2).expect_stderr(&right);
}

#[test]
fn shebang_with_program_runs_it() {
    if !can_be_tried() {
        return;
    }
    let (scratch, init) = directory();
    let path = init.to_str().expect("a path");
    for line in [
        format!("#!{path} /bin/sh"),
        format!("#!{path} -S -c -- /bin/sh"),
        "#!/usr/bin/env -S dumb-init /bin/sh".to_owned(),
        "#!/usr/bin/env -S dumb-init -c /bin/sh".to_owned(),
    ] {
        let script = scratch.file("script", &format!("{line}\necho \"$1\"; exit 7\n"), 0o755);
        let name = script.to_str().expect("a path");
        let run = |program: &Path, words: &[&str]| {
            with_few_processes(program, words, scratch.path())
                .expect_code(7)
                .expect_stdout("a\n")
                .expect_stderr("");
        };
        run(&script, &["a"]);
        // The init is the command of another init, under any name.
        run(&init, &[name, "a"]);
        run(Path::new("/usr/bin/env"), &["dumb-init", name, "a"]);
        run(Path::new("/usr/bin/env"), &["dumb-init", "-c", name, "a"]);
    }
}

#[test]
fn init_running_itself_is_not_a_script() {
    if !can_be_tried() {
        return;
    }
    let (scratch, init) = directory();
    let path = init.to_str().expect("a path");
    // Its argv[0] is its path, or its name.
    let by_path = |words: &[&str]| with_few_processes(&init, words, scratch.path());
    let by_name = |words: &[&str]| {
        let words = [&["dumb-init"], words].concat();
        with_few_processes(Path::new("/usr/bin/env"), &words, scratch.path())
    };
    for words in [&[path, "true"][..], &["-c", path, "-c", "true"], &["dumb-init", "true"]] {
        by_path(words).expect_code(0).expect_stderr("");
        by_name(words).expect_code(0).expect_stderr("");
    }
}
