//! celery's prefork pool. The main process lets running tasks finish after SIGTERM.
//!
//! SIGTERM to a pool process ends its task.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use super::{directory, init_with_drain, installed, start_behind_script};
use crate::support::Scratch;

/// A queue of files, and a task that takes two seconds.
const TASKS: &str = r#"import os, time
from celery import Celery

directory = os.path.dirname(os.path.abspath(__file__))
app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": f"{directory}/messages",
    "data_folder_out": f"{directory}/messages",
    "control_folder": f"{directory}/control",
}
app.conf.worker_prefetch_multiplier = 1

@app.task
def work(name):
    os.write(1, f"{name} begun\n".encode())
    time.sleep(2)
    os.write(1, f"{name} finished\n".encode())
"#;

#[test]
fn celery_child_drain_loses_no_task() {
    let (Some(start), Some(celery)) = (init_with_drain("child"), celery()) else { return };
    let scratch = Scratch::new();
    scratch.file("tasks.py", TASKS, 0o644);
    let messages = directory(scratch.path(), "messages");
    directory(scratch.path(), "control");
    for task in ["one", "two", "three"] {
        let call = ["-A", "tasks", "call", "tasks.work", &format!("--args=[\"{task}\"]")].map(str::to_owned);
        let output = Command::new(&celery).args(call).current_dir(scratch.path()).output().expect("celery");
        assert!(output.status.success(), "celery call: {}", String::from_utf8_lossy(&output.stderr));
    }

    let start = start.directory(scratch.path()).variable("C_FORCE_ROOT", "1");
    let service = format!("{} -A tasks worker --pool prefork --concurrency 2", celery.display());
    let worker = start_behind_script(start, &scratch, &service);
    worker.wait_for_stdout("two tasks that run", |text| text.matches(" begun\n").count() == 2);
    worker.signal(libc::SIGTERM);
    let outcome = worker.outcome();
    outcome.expect_code(143);
    let text = outcome.stdout();
    let (begun, finished) = (text.matches(" begun\n").count(), text.matches(" finished\n").count());
    let waiting = messages.read_dir().expect("the queue").count();
    assert!(finished == begun && finished + waiting == 3, "{waiting} of 3 tasks are in the queue\n{outcome}");
}

/// The path of celery's program, which `TEST_CELERY` can name, or skips the test.
fn celery() -> Option<PathBuf> {
    env::var_os("TEST_CELERY").map(PathBuf::from).or_else(|| installed("celery"))
}
