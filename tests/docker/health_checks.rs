//! A health check whose timeout kills its shell, and leaves the program of the check behind.

use super::image;
use crate::support::docker::{Base, Container, probe};
use crate::support::{Order, Report};

/// `sleep` becomes an orphan when the timeout kills the shell.
const CHECK: [&str; 6] =
    ["--health-cmd", "sleep 3; true", "--health-interval", "1s", "--health-timeout", "1s"];

#[test]
fn timed_out_health_check_leaves_no_zombie() {
    let Some(image) = image(Base::Busybox) else { return };
    // Without an init, PID 1 reaps nothing.
    let container = Container::new();
    let bare = [&CHECK[..], &["--entrypoint", "probe"]].concat();
    let without = container.run(&bare, image, &["hang"]).start();
    without.wait_for_line(Report::Ready);
    container.wait_until("there is a zombie", |processes| {
        processes.iter().any(|process| process.state == 'Z' && process.parent == 1)
    });

    let container = Container::new();
    let options = [&CHECK[..], &["--env", "DUMB_INIT_DEBUG=1"]].concat();
    let running = container.run(&options, image, &probe(Order::Hang)).start();
    running.wait_for_line(Report::Ready);
    running.wait_for_debug_line("A child with PID");
    container.expect_no_zombie();
    container.stop();
    running.outcome().expect_code(143);
}
