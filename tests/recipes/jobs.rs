//! Schedulers and runners, whose running jobs finish.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{PAGE, Place, program, recipe, without_settings};
use crate::services::installed;
use crate::support::{
    Order, Outcome, Report, Running, Start, count_lines, is_root, procfs, send, with_probe,
};

/// Job that takes two seconds. cron's own output goes elsewhere, so it has a file.
const JOB: &str = "#!/bin/sh\necho begun >>HERE/log\nsleep 2\necho finished >>HERE/log\n";

/// Stops a scheduler during its job, and returns the log of the job.
fn stop_during_job(place: &Place, running: Running, signal: i32) -> (String, Outcome) {
    let log = || std::fs::read_to_string(place.path("log")).unwrap_or_default();
    procfs::wait_until("the job has begun", || log() == "begun\n");
    running.signal(signal);
    let outcome = running.outcome();
    (log(), outcome)
}

/// Adds the hook of the page, which stops the scheduler and waits for its jobs.
fn with_hook(init: Start, place: &Place) -> Start {
    let block = PAGE.split("```").find_map(|part| part.strip_prefix("sh\n")).expect("the hook of the page");
    init.variable("DUMB_INIT_PRE_STOP", place.0.file("wait-for-jobs", block, 0o755))
}

fn write_crontab(place: &Place, time: &str) {
    std::fs::create_dir(place.path("crontabs")).expect("a directory");
    place.0.file("job", &place.text(JOB), 0o755);
    place.0.file("crontabs/root", &place.text(&format!("{time} HERE/job\n")), 0o600);
}

/// Starts cron in its own view of the machine's tables and of /run.
fn start_cron(init: Start, place: &Place) -> Running {
    write_crontab(place, "@reboot");
    let script = "mount -t tmpfs none /run && mount --bind /dev/null /etc/crontab &&
mount -t tmpfs none /etc/cron.d && mount --bind HERE/crontabs /var/spool/cron/crontabs && exec cron -f";
    place.start(init, ["sh", "-c", &place.text(script)])
}

#[test]
fn cron_job_finishes() {
    let (Some(init), Some(_)) = (recipe("cron, busybox crond").filter(|_| is_root()), program("cron")) else {
        return;
    };
    let place = Place::new();
    let (log, outcome) = stop_during_job(&place, start_cron(with_hook(init, &place), &place), libc::SIGTERM);
    assert_eq!(log, "begun\nfinished\n", "{outcome}");
    // cron exits at once, and the container with it.
    let place = Place::new();
    let running = start_cron(without_settings().expect("an init"), &place);
    let (log, outcome) = stop_during_job(&place, running, libc::SIGTERM);
    assert_eq!(log, "begun\n", "{outcome}");
}

/// Nextcloud's image runs busybox's crond by `/cron.sh`, and has SIGWINCH as its stop signal.
#[test]
#[ignore = "waits for the next minute; run by ci/everywhere"]
fn sigwinch_stops_busybox_crond_and_its_job_finishes() {
    let (Some(init), Some(_)) = (recipe("Nextcloud's cron container"), installed("busybox")) else { return };
    // A wait is limited to a minute.
    let second = || SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs() % 60;
    procfs::ask_until("the minute is not new", || second() >= 20);
    let place = Place::new();
    write_crontab(&place, "* * * * *");
    let words = place.text("busybox crond -f -L /dev/stderr -c HERE/crontabs");
    let running = place.start(with_hook(init, &place), words.split(' '));
    let (log, outcome) = stop_during_job(&place, running, libc::SIGWINCH);
    assert_eq!(log, "begun\nfinished\n", "{outcome}");
}

/// Job of a runner, imitated: the signal reaches PID 1 only, and a part of the job has a session of its own.
#[test]
fn runner_job_in_other_sessions_finishes() {
    let Some(init) = recipe("GitLab Runner") else { return };
    let work = |name, time| with_probe(format!("probe {}", Order::Work(name, time)));
    let text = format!("setsid {} & {} & wait", work("service", 300), work("build", 100));
    let running = init.words(["sh", "-c", &text]).start();
    for name in ["service", "build"] {
        running.wait_for_line(Report::Ready.by(name));
    }
    running.signal(libc::SIGTERM);
    let outcome = running.outcome();
    for name in ["service", "build"] {
        for report in [Report::Got(15), Report::Finished] {
            assert_eq!(count_lines(&outcome.stdout(), &report.by(name)), 1, "{name}\n{outcome}");
        }
    }
}

/// A process pool whose main process is killed, as by the OOM killer.
const POOL: &str = r#"import multiprocessing, os, signal, time

def work():
    def stop(*_):
        time.sleep(0.3)
        os.write(1, b"worker cleaned up\n")
        os._exit(0)
    signal.signal(signal.SIGTERM, stop)
    os.write(1, b"worker ready\n")
    while True:
        signal.pause()

multiprocessing.get_context("fork").Process(target=work).start()
signal.pause()
"#;

#[test]
fn worker_of_a_killed_server_cleans_up() {
    let (Some(init), Some(_)) = (recipe("vLLM, Ray"), installed("python3")) else { return };
    for (init, times) in [(init, 1), (without_settings().expect("an init"), 0)] {
        let place = Place::new();
        place.file("pool.py", POOL);
        let running = place.start(init, ["python3", "pool.py"]);
        running.wait_for_line("worker ready");
        send(running.command_pid(), libc::SIGKILL);
        let outcome = running.outcome();
        outcome.expect_code(137);
        assert_eq!(count_lines(&outcome.stdout(), "worker cleaned up"), times, "{outcome}");
    }
}
