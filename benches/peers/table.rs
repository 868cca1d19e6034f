//! Table of the measurements in Markdown.

use crate::measured::Measured;
use crate::measures::STARTUP;

/// A row for each measurement, a column for each init.
pub fn markdown(names: &[&str], measured: &[Measured]) -> String {
    let mut head = vec![String::new()];
    head.extend(names.iter().map(|name| (*name).to_owned()));
    let mut rows = vec![head];
    for one in measured {
        let unit = if one.unit.is_empty() { String::new() } else { format!(", {}", one.unit) };
        let mut row = vec![format!("{}{unit}", one.title)];
        row.extend(one.medians.iter().map(|median| median.map_or_else(|| "-".into(), figure)));
        rows.push(row);
        if let (STARTUP, Some(alone), Some(two_execs)) = (one.name, one.alone, one.two_execs) {
            let head = format!(
                "... in times of `true` alone, {} µs (two execs: {})",
                figure(alone),
                figure(two_execs / alone)
            );
            let times =
                |median: &Option<f64>| median.map_or_else(|| "-".into(), |value| figure(value / alone));
            rows.push(std::iter::once(head).chain(one.medians.iter().map(times)).collect());
        }
    }
    lines(&rows)
}

/// The rows in Markdown, the first one as the head, in columns of equal width.
pub fn lines(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let cell = |(column, cell): (usize, &String)| match column {
            0 => format!("{cell:<width$}", width = widths[column]),
            _ => format!("{cell:>width$}", width = widths[column]),
        };
        text.push(line(row.iter().enumerate().map(cell)));
        if index == 0 {
            let dashes = |(column, &width): (usize, &usize)| match column {
                0 => "-".repeat(width),
                _ => format!("{}:", "-".repeat(width - 1)),
            };
            text.push(line(widths.iter().enumerate().map(dashes)));
        }
    }
    text.concat()
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

/// With as many digits as mean something.
pub fn figure(value: f64) -> String {
    match value {
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        _ if value < 10.0 => format!("{value:.2}"),
        _ if value < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
