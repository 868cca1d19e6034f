//! Tests with real processes, signals, terminals and namespaces.
//!
//! They run against the init that was built with them, or against the one in `INIT_UNDER_TEST`. A
//! test that needs more than Rust and a C linker (namespaces, Docker, the packaged original) is
//! skipped without it, and prints that. With `REQUIRE_ALL_TESTS` it fails instead.
//!
//! Random tests have the same seed in each run. `SEED=NUMBER` or `SEED=random` changes it, and a
//! failure shows it.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that panics is a test that fails.
#![allow(unsafe_code, unreachable_pub)] // kill(2) with any number; a test harness has no public.

mod support;

mod architecture;
mod broken_stderr;
mod clusters;
mod command_line;
mod debug_lines;
mod differential;
mod docker;
mod documentation;
mod execution;
mod explain;
mod gvisor;
mod hazards;
mod inheritance;
mod lifecycle;
mod option_documents;
mod options;
#[cfg(feature = "deliberate-panic")]
mod panics;
mod peers;
mod pid_1;
mod recipes;
mod refused_calls;
mod report;
mod services;
mod shebang;
mod shutdown;
mod signals;
mod start_script;
mod start_script_table;
mod suspension;
mod terminals;
