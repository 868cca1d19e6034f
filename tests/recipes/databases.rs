//! Redis, and the two shutdowns of PostgreSQL. The smart one is also in `services::postgresql`.

use std::process::Command;

use super::{Place, recipe, without_settings};
use crate::services::{installed, postgresql};
use crate::support::{Outcome, Scratch, Start};

/// Stops Redis, which has a value that it has not saved. Returns whether it saves it.
fn stop_redis(init: Start) -> (bool, Outcome) {
    let place = Place::new();
    let redis = "redis-server --port 0 --unixsocket HERE/socket --dir HERE --save 3600 1000000";
    let running = place.start(init, [place.script(redis)]);
    running.wait_for_stdout("readiness", |text| text.contains("ready to accept connections"));
    let set = Command::new("redis-cli").arg("-s").arg(place.path("socket")).args(["set", "a", "b"]).output();
    assert_eq!(set.expect("redis-cli").stdout, b"OK\n");
    running.signal(libc::SIGTERM);
    let outcome = running.outcome();
    (place.path("dump.rdb").exists(), outcome)
}

#[test]
fn redis_saves_its_data_before_it_exits() {
    let (Some(init), Some(_)) = (recipe("Redis"), installed("redis-server")) else { return };
    let (is_saved, outcome) = stop_redis(init);
    assert!(is_saved && outcome.stdout().contains("bye bye"), "{outcome}");
    // The script exits, and the container with it.
    let (is_saved, outcome) =
        stop_redis(without_settings().expect("an init").variable("DUMB_INIT_SETSID", "0"));
    assert!(!is_saved, "{outcome}");
}

/// The fast shutdown disconnects a client for which the smart one would wait.
#[test]
fn postgresql_fast_shutdown_does_not_wait_for_clients() {
    let (Some(init), Some(programs)) = (recipe("PostgreSQL, fast shutdown"), postgresql::programs()) else {
        return;
    };
    let scratch = Scratch::new();
    let Some(data) = postgresql::database(&scratch, &programs) else { return };
    let words = postgresql::AS_POSTGRES.split(' ');
    let server = init.words(words).word(programs.join("postgres")).word("-D").word(&data);
    let server = server.word("-k").word(&data).words(["-h", ""]).start();
    server.wait_for_debug_line("ready to accept connections");
    let client = Start::program(programs.join("psql")).words(["-U", "postgres", "-At", "-h"]).word(&data);
    let client = client.words(["-c", "select 'begun'", "-c", "select pg_sleep(3600)"]).start();
    client.wait_for_line("begun");
    server.signal(libc::SIGTERM);
    let outcome = server.outcome();
    outcome.expect_code(0);
    let text = outcome.stderr();
    assert!(text.contains("received fast shutdown request"), "{outcome}");
    assert!(text.contains("database system is shut down"), "{outcome}");
    assert_ne!(client.outcome().code(), 0);
}
