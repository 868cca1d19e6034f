//! Plot of the values that matter to a user.

use plotters::prelude::*;

use crate::measured::Measured;
use crate::measures::{LATENCY, MEMORY, REAPING, SIZE, STARTUP};
use crate::table::figure;

const WIDTH: u32 = 900;
const ROW: u32 = 22;
const HEAD: u32 = 34;

/// Bars for each init, a panel for each measurement, as SVG.
pub fn svg(names: &[&str], measured: &[Measured]) -> String {
    let panels: Vec<&Measured> =
        measured.iter().filter(|one| [STARTUP, MEMORY, SIZE, LATENCY, REAPING].contains(&one.name)).collect();
    let panel_height = HEAD + ROW * u32::try_from(names.len()).unwrap() + 10;
    let lines = u32::try_from(panels.len().div_ceil(2)).unwrap();
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, (WIDTH, lines * panel_height + 10)).into_drawing_area();
    area.fill(&WHITE).expect("the plot");
    for (index, one) in panels.iter().enumerate() {
        let index = u32::try_from(index).unwrap();
        let origin = (index % 2 * (WIDTH / 2), index / 2 * panel_height);
        panel(&area, (i32::try_from(origin.0).unwrap(), i32::try_from(origin.1).unwrap()), names, one);
    }
    area.present().expect("the plot");
    drop(area);
    text
}

#[allow(clippy::cast_possible_truncation)] // Pixels.
fn panel(
    area: &DrawingArea<SVGBackend, plotters::coord::Shift>,
    (left, top): (i32, i32),
    names: &[&str],
    one: &Measured,
) {
    const LABELS: i32 = 110;
    const LONGEST: f64 = 250.0;
    let title = ("sans-serif", 15).into_font().style(FontStyle::Bold).color(&BLACK);
    let label = ("sans-serif", 13).into_font().color(&BLACK);
    let unit = if one.unit.is_empty() { String::new() } else { format!(", {}", one.unit) };
    let heading = format!("{}{unit}", one.title.replace('`', ""));
    area.draw(&Text::new(heading, (left + 12, top + 12), title)).expect("the plot");
    let most = one.medians.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    for (row, (name, median)) in names.iter().zip(&one.medians).enumerate() {
        let top = top + HEAD.cast_signed() + i32::try_from(row).unwrap() * ROW.cast_signed();
        area.draw(&Text::new((*name).to_owned(), (left + 12, top + 2), label.clone())).expect("the plot");
        let Some(value) = median else { continue };
        let begin = left + LABELS;
        let end = begin + (value / most * LONGEST).round().max(1.0) as i32;
        let colour =
            if name.starts_with("this") { RGBColor(0xb7, 0x41, 0x0e) } else { RGBColor(0x9a, 0xa5, 0xb1) };
        area.draw(&Rectangle::new([(begin, top), (end, top + 15)], colour.filled())).expect("the plot");
        area.draw(&Text::new(figure(*value), (end + 6, top + 2), label.clone())).expect("the plot");
    }
}
