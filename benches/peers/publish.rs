//! The figures in the documentation, which are those of one run.

use std::fs;
use std::path::Path;

use crate::inits::Init;

/// Markers of the figures in the page.
const BEGIN: &str = "<!-- measured: written by `cargo bench -- publish` -->\n";
const END: &str = "<!-- end of what was measured -->\n";

/// Writes the tables into docs/benchmarks.md and the plot beside it.
pub fn publish(inits: &[Init], table: &str, targets: &str, svg: &str) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let page = docs.join("benchmarks.md");
    let text = fs::read_to_string(&page).expect("docs/benchmarks.md");
    let (before, rest) = text.split_once(BEGIN).expect("where the figures begin");
    let (_, after) = rest.split_once(END).expect("where the figures end");
    fs::write(&page, format!("{before}{BEGIN}\n{}\n\n{table}\n{targets}\n{END}{after}", machine(inits)))
        .expect("docs/benchmarks.md");
    fs::write(docs.join("benchmarks.svg"), svg).expect("docs/benchmarks.svg");
    println!("written: docs/benchmarks.md, docs/benchmarks.svg");
}

/// Machine of the measurement.
fn machine(inits: &[Init]) -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("", |(_, model)| model);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version: String =
        kernel.trim().chars().take_while(|letter| letter.is_ascii_digit() || *letter == '.').collect();
    let peers: Vec<String> = inits.iter().filter(|init| !init.is_ours()).map(Init::version).collect();
    let model = if model.is_empty() { std::env::consts::ARCH } else { model };
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{model}, {count} processors, Linux {version}. The peers say that they are {}.", peers.join(", "))
}
