//! Feeds bytes to `parser`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    seamline_fuzz::parser(bytes);
});
