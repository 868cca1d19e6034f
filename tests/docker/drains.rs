//! `docker stop` with a drain, on a terminal.

use super::{count_lines, image};
use crate::support::docker::{Base, Container};
use crate::support::init_beyond;
use crate::support::start_script::{PROGRAMS, lines};

#[test]
fn docker_stop_on_terminal_lets_all_programs_finish() {
    if init_beyond().is_none() {
        return;
    }
    for base in [Base::Busybox, Base::Dash] {
        let Some(image) = image(base) else { return };
        let container = Container::new();
        let options = ["--tty", "--env", "DUMB_INIT_DRAIN=60s"];
        let (running, _terminal) =
            container.run(&options, image, &["sh", "-c", &lines()]).start_on_terminal();
        for name in PROGRAMS {
            running.wait_for_stdout("three ready programs", |text| text.contains(&format!("{name} ready")));
        }
        container.expect_no_zombie();
        container.stop();
        let outcome = running.outcome();
        for name in PROGRAMS {
            let times = |what: &str| count_lines(&outcome.stdout(), &format!("{name} {what}"));
            assert_eq!((times("got 15"), times("got 1"), times("finished")), (1, 0, 1), "{name} {outcome}");
        }
    }
}
