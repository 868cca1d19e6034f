//! Fuzzes the command line.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dumb_init_fuzz::command_line(input));
