//! PostgreSQL, whose smart shutdown (SIGTERM to the postmaster) waits for the clients.
//!
//! SIGTERM to a backend ends its query.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{User, chown, geteuid};

use super::{directory, init_with_drain, start_behind_script};
use crate::support::{Scratch, Start, skip};

#[test]
fn postgresql_child_drain_lets_a_query_finish() {
    expect_the_query_to_finish("child");
}

#[test]
fn postgresql_group_drain_lets_a_query_finish() {
    expect_the_query_to_finish("group");
}

fn expect_the_query_to_finish(forward: &str) {
    let (Some(start), Some(programs)) = (init_with_drain(forward), programs()) else { return };
    let scratch = Scratch::new();
    let Some(data) = database(&scratch, &programs) else { return };
    let service = format!(
        "{AS_POSTGRES} {}/postgres -D {data} -k {data} -h ''",
        programs.display(),
        data = data.display()
    );
    let server = start_behind_script(start, &scratch, &service);
    server.wait_for_debug_line("ready to accept connections");

    let client = Start::program(programs.join("psql")).words(["-U", "postgres", "-At", "-h"]).word(&data);
    let client = client.words(["-c", "select 'begun'", "-c", "select 'finished' from pg_sleep(2)"]).start();
    client.wait_for_line("begun");
    server.signal(libc::SIGTERM);
    let client = client.outcome();
    let server = server.outcome();
    assert_eq!((client.code(), client.stdout().as_str()), (0, "begun\nfinished\n"), "{client}\n{server}");
    server.expect_code(143);
    assert!(server.stderr().contains("database system is shut down"), "{server}");
}

/// Executes a program as the user that Debian's package creates; root may not run a server.
pub(crate) const AS_POSTGRES: &str = "setpriv --reuid=postgres --regid=postgres --clear-groups --";

/// The directory of the programs of the latest installed version, or skips the test.
pub(crate) fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let latest = versions.map(|entry| entry.path()).max_by_key(|path| number(path));
    let programs = latest.map(|path| path.join("bin")).filter(|path| path.join("postgres").exists());
    if programs.is_none() {
        skip("PostgreSQL is not installed (Debian's postgresql)");
    }
    programs
}

/// Creates a database cluster, or skips the test.
pub(crate) fn database(scratch: &Scratch, programs: &Path) -> Option<PathBuf> {
    let user = User::from_name("postgres").ok().flatten().filter(|_| geteuid().is_root());
    let Some(user) = user else {
        skip("only root can run PostgreSQL as the user postgres");
        return None;
    };
    let data = directory(scratch.path(), "data");
    chown(&data, Some(user.uid), Some(user.gid)).expect("chown");
    let mut words = AS_POSTGRES.split(' ');
    let mut create = Command::new(words.next().expect("setpriv"));
    create.args(words).arg(programs.join("initdb")).args([
        "-U",
        "postgres",
        "-A",
        "trust",
        "--no-sync",
        "-D",
    ]);
    let output = create.arg(&data).output().expect("initdb");
    assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
    Some(data)
}
