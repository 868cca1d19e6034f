//! Fuzzes the value of `-r`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dumb_init_fuzz::rewrite(input));
