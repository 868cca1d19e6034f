//! Multi-process start script: the report for each set-up of the table, and the effect of the signal.

use std::ffi::OsString;
use std::path::Path;
use std::thread;

use super::{Told, explain};
use crate::support::start_script::{PROGRAMS, wait_for_all};
use crate::support::{
    Held, Order, Running, Scratch, Start, built_init, can_have_pid_namespaces, docker, init_beyond, probe,
    procfs, send, skip,
};

/// Whether the programs are to finish while the container is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Short,
    Endless,
}

fn script(scratch: &Scratch, work: Work, first_line: &str) -> std::path::PathBuf {
    let milliseconds = if work == Work::Short { 100 } else { 600_000 };
    let [crond, worker, service] =
        PROGRAMS.map(|name| format!("{} {work}", probe().display(), work = Order::Work(name, milliseconds)));
    let text = format!("#!{first_line}\n{crond} &\n{worker} &\n{service}\n");
    scratch.file("start.sh", &text, 0o755)
}

/// How often a program has got SIGTERM.
fn got(running: &Running, name: &str) -> usize {
    running.stdout().lines().filter(|line| *line == format!("{name} got 15")).count()
}

/// What is expected of a set-up.
struct Setup<'a> {
    name: &'a str,
    words: Vec<OsString>,
    variables: &'a [(&'a str, &'a str)],
    /// Has the script the init in its first line, too?
    nested: Option<&'a Path>,
    code: i32,
    never: usize,
    parts: &'a [&'a str],
}

/// As PID 1: what is said, and what comes true.
fn try_setup(setup: &Setup<'_>) {
    let scratch = Scratch::new();
    let work = if setup.code == 0 { Work::Short } else { Work::Endless };
    let first_line = setup.nested.map_or("/bin/sh".to_owned(), |init| format!("{} /bin/sh", init.display()));
    let script = script(&scratch, work, &first_line);
    let mut words = setup.words.iter().cloned().chain([script.into_os_string()]);
    let program = words.next().expect("a program");
    let start = Start::program(program).words(words).in_namespace();
    let start = setup.variables.iter().fold(start, |start, (name, value)| start.variable(name, value));
    let running = start.start();
    wait_for_all(&running);

    let told = explain(&running, "--explain");
    told.expect_code(setup.code);
    for part in setup.parts {
        told.expect_part(part);
    }
    let is_never = |name: &str| told.with(&format!("work {name}")).fate == "not signalled";
    assert_eq!(PROGRAMS.iter().filter(|name| is_never(name)).count(), setup.never, "{}\n{told}", setup.name);

    // The end of PID 1 would be that of all, who could not tell any more what they have got.
    let is_init = setup.words.len() > 1 || setup.nested.is_some();
    let held = Held::at_exit_of(running.pid());
    running.signal(libc::SIGTERM);
    if is_init {
        held.wait();
    }
    let programs: Vec<_> = PROGRAMS.iter().filter_map(|name| Some((*name, find(&running, name)?))).collect();
    for (name, pid) in programs {
        send(pid, 64);
        let answered = || {
            running.stdout().contains(&format!("{name} got 64\n"))
                || procfs::state(pid).is_none_or(|state| state == 'Z')
        };
        procfs::wait_until(&format!("{name} answers"), answered);
    }
    for name in PROGRAMS {
        let times = got(&running, name);
        assert_eq!(
            times > 0,
            !is_never(name),
            "{}: {name} got it {times} times\n{told}\n{running}",
            setup.name
        );
    }
    held.release();
    if setup.code == 0 {
        // Whom the init waits for, finishes.
        let outcome = running.outcome();
        let finished =
            PROGRAMS.iter().filter(|name| outcome.stdout().contains(&format!("{name} finished"))).count();
        assert_eq!(finished, 3, "{}\n{told}\n{outcome}", setup.name);
    }
}

/// A program of the script's, if it is still there.
fn find(running: &Running, name: &str) -> Option<nix::unistd::Pid> {
    let is_it = |pid: &nix::unistd::Pid| {
        let text = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        text.starts_with(probe().as_os_str().as_encoded_bytes())
            && text.split(|&byte| byte == 0).any(|word| word == name.as_bytes())
    };
    running.descendants().into_iter().find(is_it)
}

const DRAIN: (&str, &str) = ("DUMB_INIT_DRAIN", "60s");
const LATER: &str = "Try: dumb-init 1.3 or later, with DUMB_INIT_DRAIN=10s\n";
const SETSID: (&str, &str) = ("DUMB_INIT_SETSID", "0");

#[test]
fn prediction_holds_for_start_script_under_this_init() {
    if init_beyond().is_none() || !can_have_pid_namespaces() {
        return;
    }
    let ours = built_init();
    let words = || vec![ours.clone().into_os_string(), "--".into()];
    let setups = [
        Setup {
            name: "default",
            words: words(),
            variables: &[],
            nested: None,
            code: 1,
            never: 0,
            parts: &[
                "forwards to the process group of its child\n",
                "Every process receives the signal.",
                "Try: DUMB_INIT_DRAIN=10s\n",
            ],
        },
        Setup {
            name: "the variable of a base image",
            words: words(),
            variables: &[SETSID],
            nested: None,
            code: 1,
            never: 3,
            parts: &[
                "dumb-init (PID 1) forwards to its direct child alone: DUMB_INIT_SETSID=0 in its environment\n",
                "SIGTERM is forwarded as SIGTERM\n",
                "Not signalled: 3 of 4 processes. Remaining processes are killed when ",
                " exits, since --drain is off.\n",
                "Try: DUMB_INIT_FORWARD=group DUMB_INIT_DRAIN=10s\n",
            ],
        },
        Setup {
            name: "drain",
            words: words(),
            variables: &[DRAIN],
            nested: None,
            code: 0,
            never: 0,
            parts: &["Every process receives the signal."],
        },
        Setup {
            name: "both variables",
            words: words(),
            variables: &[DRAIN, SETSID],
            nested: None,
            code: 0,
            never: 0,
            parts: &["Every process receives the signal, 3 of 4 later. "],
        },
        Setup {
            name: "what is advised",
            words: words(),
            variables: &[DRAIN, SETSID, ("DUMB_INIT_FORWARD", "group")],
            nested: None,
            code: 0,
            never: 0,
            parts: &["Every process receives the signal. "],
        },
        Setup {
            name: "both variables, nested",
            words: words(),
            variables: &[DRAIN, SETSID],
            nested: Some(&ours),
            code: 0,
            never: 0,
            parts: &["Every process receives the signal"],
        },
    ];
    thread::scope(|scope| setups.iter().for_each(|setup| drop(scope.spawn(|| try_setup(setup)))));
}

#[test]
fn prediction_holds_for_start_script_under_other_inits() {
    if !can_have_pid_namespaces() {
        return;
    }
    let [original, tini, catatonit] = ["/usr/bin/dumb-init", "/usr/bin/tini", "/usr/bin/catatonit"];
    if let Some(missing) = [original, tini, catatonit].iter().find(|path| !Path::new(path).exists()) {
        skip(&format!("{missing} is not installed"));
        return;
    }
    let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    let setup = |name, words, variables, nested, never, parts| Setup {
        name,
        words,
        variables,
        nested,
        code: 1,
        never,
        parts,
    };
    let setups = [
        setup(
            "no init",
            words(&[]),
            &[][..],
            None,
            3,
            &["(PID 1) is a shell: it forwards no signal", "Try: an entrypoint of dumb-init"][..],
        ),
        setup(
            "the original",
            words(&[original, "--"]),
            &[],
            None,
            0,
            &["the original, forwards to the process group", LATER],
        ),
        setup(
            "the original, with the variable",
            words(&[original, "--"]),
            &[SETSID],
            None,
            3,
            &["DUMB_INIT_SETSID=0 in its environment\n", "Not signalled: 3 of 4 "],
        ),
        // It knows no such variable.
        setup("the original, with a drain", words(&[original, "--"]), &[DRAIN], None, 0, &[LATER]),
        setup("the original, nested", words(&[original, "--"]), &[], Some(Path::new(original)), 0, &[LATER]),
        setup(
            "tini",
            words(&[tini, "--"]),
            &[],
            None,
            3,
            &["tini (PID 1) forwards to its direct child alone\n", "Try: dumb-init in place of tini"],
        ),
        setup(
            "tini -g",
            words(&[tini, "-g", "--"]),
            &[],
            None,
            0,
            &["tini (PID 1) forwards to the process group of its child: -g on its command line\n"],
        ),
        setup(
            "tini with a variable",
            words(&[tini, "--"]),
            &[("TINI_KILL_PROCESS_GROUP", "")],
            None,
            0,
            &["to the process group"],
        ),
        setup(
            "catatonit",
            words(&[catatonit, "--"]),
            &[],
            None,
            3,
            &["catatonit (PID 1) forwards to its direct child alone\n"],
        ),
        setup(
            "catatonit -g",
            words(&[catatonit, "-g", "--"]),
            &[],
            None,
            0,
            &["catatonit (PID 1) forwards to the process group of its child: -g on its command line\n"],
        ),
    ];
    thread::scope(|scope| setups.iter().for_each(|setup| drop(scope.spawn(|| try_setup(setup)))));
}

/// The report in the README, of the test image with the variable of a base image.
#[test]
fn explain_in_a_container_prints_the_readme_example() {
    if init_beyond().is_none() {
        return;
    }
    let Some(image) = docker::image() else { return };
    let run = |variables: &[&str]| {
        let container = docker::Container::new();
        let mut start = Start::program("docker").words(["run", "--name", container.name()]);
        for variable in variables {
            start = start.words(["--env", variable]);
        }
        let running = start.words(["--entrypoint", "dumb-init", image, "--", "/usr/bin/start.sh"]).start();
        wait_for_all(&running);
        (container, running)
    };
    let exec = |options: &[&str], container: &docker::Container| {
        Start::program("docker")
            .word("exec")
            .words(options)
            .words([container.name(), "dumb-init", "--explain"])
            .run()
    };
    let (container, _running) = run(&["DUMB_INIT_SETSID=0"]);
    let shown = exec(&["--tty", "--env", "NO_COLOR=1"], &container);
    shown.expect_code(1);
    let text = shown.stdout();
    let readme = normal(include_str!("../../README.md"));
    assert!(readme.contains(&normal(&text)), "the README shows another report than this:\n{text}");
    let told = Told::of(exec(&[], &container));
    told.expect_code(1).expect_line("Try: DUMB_INIT_FORWARD=group DUMB_INIT_DRAIN=10s");
    let (cured, _running) = run(&["DUMB_INIT_SETSID=0", "DUMB_INIT_FORWARD=group", "DUMB_INIT_DRAIN=10s"]);
    Told::of(exec(&[], &cured)).expect_code(0).expect_no_advice();
}

/// The text whatever the PIDs, which are not the same with every engine.
fn normal(text: &str) -> String {
    let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    let words = text.split_whitespace().map(|word| if is_number(word) { "N" } else { word });
    words.collect::<Vec<_>>().join(" ")
}
