//! `docker run --interactive --tty`. The test types on the client's terminal.

use std::collections::HashSet;
use std::thread;

use super::image;
use crate::support::docker::{Base, Container, probe};
use crate::support::{Order, Report, Running, procfs};

const ON_A_TERMINAL: [&str; 2] = ["--interactive", "--tty"];

/// Waits for the shell to show its prompt for so many times.
fn wait_for_prompt(running: &Running, times: usize) {
    running.wait_for_stdout(&format!("{times} prompts"), |text| text.matches("prompt> ").count() >= times);
}

#[test]
fn docker_shell_has_job_control() {
    thread::scope(|scope| {
        for base in [Base::Busybox, Base::Dash] {
            for setsid in ["1", "0"] {
                scope.spawn(move || stop_a_job_and_bring_it_back(base, setsid));
            }
        }
    });
}

fn stop_a_job_and_bring_it_back(base: Base, setsid: &str) {
    let Some(image) = image(base) else { return };
    let container = Container::new();
    let options = ["--env", "PS1=prompt> ", "--env", &format!("DUMB_INIT_SETSID={setsid}")];
    let start = container.run(&[&ON_A_TERMINAL, &options[..]].concat(), image, &["sh"]);
    let (running, mut terminal) = start.start_on_terminal();
    wait_for_prompt(&running, 1);
    terminal.keys(&format!("probe {hang}\r", hang = Order::Hang));
    running.wait_for_line(Report::Ready);
    let state = || container.process(Order::Hang).state;
    assert_eq!(state(), 'S');

    terminal.keys("\x1a");
    running.wait_for_stdout("the stop", |text| text.contains("Stopped"));
    wait_for_prompt(&running, 2);
    assert_eq!(state(), 'T');
    assert_eq!(container.processes().iter().find(|process| process.pid == 1).expect("PID 1").state, 'S');
    terminal.keys("fg\r");
    // By then it has the terminal: shells hand that over first.
    procfs::ask_until("the job resumes", || state() == 'S');
    terminal.keys("\x03");
    wait_for_prompt(&running, 3);
    terminal.keys("echo status $?\r");
    running.wait_for_line("status 130");
    wait_for_prompt(&running, 4);
    // Of no consequence to the shell.
    terminal.keys("\x03");
    wait_for_prompt(&running, 5);
    container.expect_no_zombie();
    terminal.keys("exit 7\r");
    let outcome = running.outcome();
    outcome.expect_code(7).expect_stderr("");
    assert!(!outcome.stdout().contains("job control"), "{outcome}");
}

#[test]
fn docker_terminal_key_reaches_command_once() {
    let Some(image) = image(Base::Busybox) else { return };
    let container = Container::new();
    let (running, mut terminal) =
        container.run(&ON_A_TERMINAL, image, &probe(Order::Record(64))).start_on_terminal();
    running.wait_for_line(Report::Ready);
    for (key, number) in [("\x03", 2), ("\x1c", 3), ("\x1a", 20)] {
        terminal.keys(key);
        // The container's terminal echoes the key first.
        running.wait_for_stdout("the key's signal", |text| text.contains(&format!("got {number}")));
    }
    container.expect_no_zombie();
    container.kill("RTMAX");
    let outcome = running.outcome();
    outcome.expect_code(42);
    for number in [2, 3, 20, 64] {
        assert_eq!(outcome.stdout().matches(&format!("got {number}\r\n")).count(), 1, "{number}\n{outcome}");
    }
    assert_eq!(outcome.stdout().matches("got ").count(), 4 + initial_sizes(&outcome.stdout()), "{outcome}");
}

/// The client sends the size of its window after the start of the container.
fn initial_sizes(text: &str) -> usize {
    text.matches("got 28\r\n").count()
}

#[test]
fn docker_window_resize_reaches_command() {
    let Some(image) = image(Base::Empty) else { return };
    let container = Container::new();
    // With `--sig-proxy=false` the client does not send SIGWINCH itself. The kernel does.
    let options = [&ON_A_TERMINAL, &["--sig-proxy=false"][..]].concat();
    let (running, mut terminal) = container.run(&options, image, &probe(Order::Window)).start_on_terminal();
    running.wait_for_line(Report::Ready);
    // The client sends the size once after the start, and listens for changes a moment later. A
    // change in between is lost, so the test waits for a second size.
    let mut columns = 100;
    procfs::ask_until("the client listens", || {
        columns = if columns == 500 { 101 } else { columns + 1 };
        terminal.resize(33, columns);
        let sizes: HashSet<String> = running
            .stdout()
            .lines()
            .filter(|line| line.starts_with("window-size 33 "))
            .map(str::to_owned)
            .collect();
        sizes.len() > 1
    });
    terminal.resize(44, 555);
    running.wait_for_line(Report::WindowSize(44, 555));
    container.expect_no_zombie();
    container.stop();
    running.outcome().expect_code(0);
}
