//! Cost of `--explain` beside many processes.

use super::Told;
use crate::support::{Order, Report, Running, Start, built_init, init};

/// Seconds of CPU that `--explain` uses, and its answer. A busy machine changes the CPU time less than the elapsed time.
fn cost_of_explaining(running: &Running) -> (f64, Told) {
    let script = r#""$0" "$@"; times >&2"#;
    let start = Start::program("sh").words(["-c", script]).word(built_init());
    let told = Told::of(start.words(["--pid", &running.pid().to_string(), "--explain"]).run());
    let text = told.outcome.stderr();
    // The last line has the times of the shell's children: 0m0.010000s 0m0.020000s
    let line = text.lines().last().expect("times");
    let seconds = |time: &str| {
        let (minutes, seconds) = time.strip_suffix('s').and_then(|time| time.split_once('m')).expect(line);
        minutes.parse::<f64>().expect(line) * 60.0 + seconds.parse::<f64>().expect(line)
    };
    (line.split_whitespace().map(seconds).sum(), told)
}

/// The least of three runs beside a command that has this many children in its group.
fn cost_beside(children: u32) -> f64 {
    let running = init().probe(Order::ExitTogether(children, 0)).start();
    running.wait_for_line(Report::Ready);
    let costs = std::array::from_fn::<_, 3, _>(|_| {
        let (cost, told) = cost_of_explaining(&running);
        assert_eq!(told.rows.len(), children as usize + 2, "{}", told.outcome.stderr());
        cost
    });
    costs.into_iter().fold(f64::INFINITY, f64::min)
}

#[test]
fn explain_cost_grows_no_faster_than_the_group() {
    let (few, many) = (cost_beside(500), cost_beside(2000));
    // Four times as many processes.
    assert!(many < 8.0 * few, "500 processes: {few} s of CPU, 2,000 processes: {many} s");
}
