//! Samples of several inits in turns, and their medians.

/// One line of the table: a figure of each init.
pub struct Measured {
    pub name: &'static str,
    pub title: String,
    pub unit: &'static str,
    /// Values in the order of the inits; `None` if one cannot be measured.
    pub medians: Vec<Option<f64>>,
    /// The same of `true` alone.
    pub alone: Option<f64>,
    /// The same of two execs and nothing else.
    pub two_execs: Option<f64>,
}

/// Takes `rounds` samples of each of `count` subjects, in another order each round, and returns the medians.
pub fn in_turns(
    count: usize,
    rounds: usize,
    mut sample: impl FnMut(usize) -> Option<f64>,
) -> Vec<Option<f64>> {
    let mut samples = vec![Vec::new(); count];
    let mut order: Vec<usize> = (0..count).collect();
    for _ in 0..rounds {
        fastrand::shuffle(&mut order);
        for &index in &order {
            samples[index].extend(sample(index));
        }
    }
    samples.into_iter().map(median).collect()
}

pub fn median(mut samples: Vec<f64>) -> Option<f64> {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied()
}
