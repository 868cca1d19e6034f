//! Node.js and npm.

use super::{Place, recipe, without_settings};
use crate::services::installed;
use crate::support::{Outcome, Start, count_lines};

/// Reports SIGTERM, and exits when it has cleaned up.
const APP: &str = "const timer = setInterval(() => {}, 1000);
process.on('SIGTERM', () => {
  console.log('app got SIGTERM');
  setTimeout(() => { console.log('app finished'); clearInterval(timer); process.exit(0); }, 500);
});
console.log('app ready');
";

fn stop(init: Start, words: &[&str]) -> Outcome {
    let place = Place::new();
    place.file("package.json", r#"{"name":"app","version":"1.0.0","scripts":{"start":"node app.js"}}"#);
    place.file("app.js", APP);
    let running = place.start(init.variable("npm_config_update_notifier", "false"), words);
    running.wait_for_line("app ready");
    running.signal(libc::SIGTERM);
    running.outcome()
}

#[test]
fn node_handles_sigterm() {
    let (Some(init), Some(_)) = (recipe("Node.js"), installed("node")) else { return };
    let outcome = stop(init, &["node", "app.js"]);
    outcome.expect_code(0).expect_stdout("app ready\napp got SIGTERM\napp finished\n");
}

#[test]
fn npm_lets_the_app_finish() {
    let (Some(init), Some(_)) = (recipe("npm, npx, pnpm"), installed("npm")) else { return };
    let outcome = stop(init, &["npm", "start"]);
    assert_eq!(count_lines(&outcome.stdout(), "app got SIGTERM"), 1, "{outcome}");
    assert_eq!(count_lines(&outcome.stdout(), "app finished"), 1, "{outcome}");
    // npm exits at once, and the container with it.
    let outcome = stop(without_settings().expect("an init"), &["npm", "start"]);
    assert_eq!(count_lines(&outcome.stdout(), "app finished"), 0, "{outcome}");
}
