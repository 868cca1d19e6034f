//! Targets, and whether they are reached.

use crate::drain;
use crate::inits::OURS;
use crate::measured::Measured;
use crate::measures::{IDLE, LATENCY, MEMORY, ORPHANS, REAPING, SIZE, STARTUP};
use crate::table::{figure, lines};

/// Those of the musl build, which is the first of the inits, against the others, whichever of them
/// were measured.
pub fn markdown(names: &[&str], measured: &[Measured]) -> String {
    if names.first() != Some(&OURS) {
        return "no musl build: nothing is aimed at\n".into();
    }
    let mut rows = vec![["", "measured", "aim", ""].map(String::from).to_vec()];
    let mut add = |what: String, measured: f64, most: f64| {
        let verdict = if measured <= most { "met" } else { "**missed**" };
        rows.push(vec![what, figure(measured), format!("≤ {}", figure(most)), verdict.into()]);
    };
    let ours = |one: &Measured| one.medians.first().copied().flatten();
    let is_peer = |name: &str| !name.starts_with("this");
    let best_peer = |one: &Measured| {
        let peers = names
            .iter()
            .zip(&one.medians)
            .filter(|(name, _)| is_peer(name))
            .filter_map(|(_, median)| *median);
        peers.min_by(f64::total_cmp)
    };
    for one in measured {
        let Some(median) = ours(one) else { continue };
        match one.name {
            STARTUP => {
                if let Some(alone) = one.alone {
                    add("start-up, in times of `true` alone".into(), median / alone, 3.0);
                }
                for (name, of_peer) in names.iter().zip(&one.medians).filter(|(name, _)| is_peer(name)) {
                    if let Some(of_peer) = of_peer {
                        let least = figure(one.two_execs.unwrap_or_default() / of_peer);
                        add(
                            format!("start-up, in times of {name}'s (two execs and nothing else: {least})"),
                            median / of_peer,
                            0.35,
                        );
                    }
                }
            }
            MEMORY => add("Private_Dirty, KiB".into(), median, 20.0),
            SIZE => add("size of the file, kB".into(), median, 512.0),
            drain::CPU => add(one.title.clone() + ", µs", median, drain::MOST_CPU),
            drain::TIME => add(one.title.clone() + ", s", median, drain::MOST_TIME),
            IDLE => add("wake-ups when idle".into(), median, 0.0),
            LATENCY => {
                if let Some(best) = best_peer(one) {
                    add("a signal's way, in times of the best peer's".into(), median / best, 1.0);
                }
            }
            REAPING => {
                if let Some(best) = best_peer(one) {
                    add(format!("{}, in times of the best peer's", one.title), median / best, 1.1);
                }
            }
            _ => {}
        }
    }
    let reaping: Vec<f64> = measured.iter().filter(|one| one.name == REAPING).filter_map(ours).collect();
    if let [first, .., last] = reaping.as_slice() {
        add(format!("{} orphans, each in times of one of {}", ORPHANS[2], ORPHANS[0]), last / first, 1.1);
    }
    lines(&rows)
}
