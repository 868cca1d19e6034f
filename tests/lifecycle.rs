//! From the command's start to its end.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::support::differences::{Original, wanted_difference};
use crate::support::{
    Condition, Order, Property, Report, Scratch, Start, init, init_under_test, probe_as, procfs, property,
    send,
};

#[test]
fn exit_status_is_that_of_the_command() {
    for options in [&[][..], &["-c"]] {
        for status in [0, 1, 2, 7, 127, 128, 143, 200, 255] {
            init().words(options).probe(Order::Exit(status)).run().expect_code(status);
        }
    }
}

#[test]
fn death_by_signal_is_reported_as_128_plus_its_number() {
    for options in [&[][..], &["-c"]] {
        // Signals that kill by default, with and without a core (signal(7)). glibc's posix_spawn(3)
        // leaves 32 and 33 ignored.
        for number in (1..=64).filter(|number| ![17, 18, 19, 20, 21, 22, 23, 28, 32, 33].contains(number)) {
            init().words(options).probe(Order::Die(number)).run().expect_code(128 + number);
        }
    }
}

#[test]
fn command_leads_its_own_session() {
    let outcome = init().probe(Order::Report).run();
    outcome.expect_code(5);
    let pid = outcome.report(Property::Pid);
    assert_eq!(
        (outcome.report(Property::Pgid), outcome.report(Property::Sid)),
        (pid.clone(), pid),
        "{outcome}"
    );
}

#[test]
fn single_child_stays_in_the_init_session_and_group() {
    for options in [&["-c"][..], &[]] {
        let start = if options.is_empty() { init().variable("DUMB_INIT_SETSID", "0") } else { init() };
        let outcome = start.words(options).probe(Order::Report).run();
        let [group, session] =
            [nix::unistd::getpgrp(), nix::unistd::getsid(None).unwrap()].map(|pid| pid.to_string());
        assert_eq!(
            (outcome.report(Property::Pgid), outcome.report(Property::Sid)),
            (group, session),
            "{outcome}"
        );
    }
}

#[test]
fn variables_act_only_with_exact_names_and_values() {
    for value in ["", "1", "00", "0 ", "false", "no"] {
        let outcome = init().variable("DUMB_INIT_SETSID", value).probe(Order::Report).run();
        assert_eq!(outcome.report(Property::Sid), outcome.report(Property::Pid), "{value:?}\n{outcome}");
    }
    for value in ["", "0", "01", "true", "1 "] {
        init()
            .variable("DUMB_INIT_DEBUG", value)
            .probe(Order::Exit(0))
            .run()
            .expect_code(0)
            .expect_stderr("");
    }
    for (name, value) in [
        ("RUST_LOG", "trace"),
        ("RUST_LOG", "dumb_init=debug"),
        ("RUST_BACKTRACE", "full"),
        ("RUST_LOG_STYLE", "always"),
        ("NO_COLOR", "1"),
        ("CLICOLOR_FORCE", "1"),
        ("POSIXLY_CORRECT", "1"),
        ("COLUMNS", "20"),
    ] {
        init().variable(name, value).probe(Order::Exit(3)).run().expect_code(3).expect_stderr("");
        let version = init().variable(name, value).word("-V").run();
        assert_eq!(version.stderr(), init().word("-V").run().stderr(), "{name}={value}");
        let help = init().variable(name, value).word("-h").run();
        assert_eq!(help.stderr(), init().word("-h").run().stderr(), "{name}={value}");
    }
}

#[test]
fn init_changes_to_root_directory_and_command_does_not() {
    let directory = std::env::temp_dir().canonicalize().unwrap();
    let running = init().directory(&directory).probe(Order::Hang).start();
    running.wait_for_line(Report::Ready);
    let cwd = |pid| std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
    procfs::wait_until("the init is in /", || cwd(running.pid()) == std::path::Path::new("/"));
    assert_eq!(cwd(running.command_pid()), directory);
}

#[test]
fn exit_of_another_child_does_not_end_the_init() {
    for options in [&[][..], &["-c"]] {
        // It was there before the init was executed, and ends, when the pipe does, with another
        // status than the command.
        let scratch = Scratch::new();
        let fifo = scratch.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let running = Start::program("sh")
            .words(["-c", "(read line; exit 9) <\"$0\" & exec \"$@\""])
            .word(&fifo)
            .word(init_under_test())
            .words(options)
            .probe(Order::Record(10))
            .start();
        running.wait_for_line(Report::Ready);
        drop(File::options().write(true).open(&fifo).unwrap());
        procfs::wait_until("the other child is reaped", || procfs::children(running.pid()).len() == 1);
        running.signal(libc::SIGUSR1);
        running.outcome().expect_code(42);
    }
}

#[test]
fn zombie_from_before_the_start_is_reaped() {
    wanted_difference("8. Zombies from before the start", Original::Fails, || {
        let running = init().condition(Condition::Zombie(9)).probe(Order::Record(10)).start();
        running.wait_for_line(Report::Ready);
        let zombies =
            || procfs::children(running.pid()).into_iter().filter(|&pid| procfs::state(pid) == Some('Z'));
        assert_eq!(zombies().count(), 0, "{running}");
        running.signal(libc::SIGUSR1);
        running.outcome().expect_code(42);
    });
}

#[test]
fn failed_fork_is_logged_and_ends_the_init() {
    // For root there is no limit of processes.
    let start =
        if nix::unistd::geteuid().is_root() { init().condition(Condition::User(65534)) } else { init() };
    let scratch = Scratch::new();
    let init = scratch.executable_copy(&init_under_test());
    let outcome = start.program_at(&init).condition(Condition::Processes(0)).words(["true"]).run();
    outcome.expect_code(1).expect_stdout("").expect_stderr("[dumb-init] Unable to fork. Exiting.\n");
}

#[test]
fn sigstop_before_exec_stops_the_command_only() {
    wanted_difference("2. Signals of the first milliseconds", Original::IsNotTried, || {
        // The original's child doesn't write there, and so can't be held up.
        for (number, after_it) in [(libc::SIGTSTP, 'T'), (libc::SIGTERM, 'Z')] {
            // The child cannot write its first line before the test reads, so it waits before its
            // exec.
            let (mut reader, mut writer) = std::io::pipe().unwrap();
            nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
            while writer.write(&[b'x'; 4096]).is_ok() {}
            nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).unwrap();
            let running = init()
                .own_group()
                .stdin(File::from(std::os::fd::OwnedFd::from(writer)))
                .condition(Condition::StderrAsStdin)
                .condition(Condition::Null(0))
                .word("-vc")
                .probe(Order::Hang)
                .start();
            procfs::wait_until("there is a child", || !procfs::children(running.pid()).is_empty());
            let command = running.command_pid();
            send(command, number);
            let reader = std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
            // The init receives SIGCHLD for the exit, or sees the command stopped.
            procfs::wait_until("the command has acted on it", || {
                let state = procfs::state(command);
                state == Some(after_it) || after_it == 'Z' && state.is_none()
            });
            if after_it == 'T' {
                let cwd = format!("/proc/{}/cwd", running.pid());
                procfs::wait_until("the init resumes", || {
                    std::fs::read_link(&cwd).unwrap() == Path::new("/")
                });
                running.signal(libc::SIGTERM);
                send(command, libc::SIGCONT);
            }
            running.outcome().expect_code(143);
            reader.join().unwrap().unwrap();
        }
    });
}

#[test]
fn idle_init_does_not_wake_up() {
    let running = init().probe(Order::Hang).start();
    running.wait_for_line(Report::Ready);
    let pid = running.pid();
    procfs::wait_for_state(pid, 'S');
    let switches = || procfs::status_field(pid, "voluntary_ctxt_switches");
    let before = switches();
    // The test measures idle time: nothing may happen in it.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(switches(), before);
}

#[test]
fn exec_by_the_command_changes_nothing() {
    let probe = probe_as(Order::Report);
    let outcome = init().words(["sh", "-c", "exec \"$@\"", "sh"]).words(probe).run();
    outcome.expect_code(5);
    assert_eq!(property(&outcome.stdout(), Property::Pid), property(&outcome.stdout(), Property::Sid));
}
