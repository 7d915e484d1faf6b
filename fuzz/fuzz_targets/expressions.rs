//! Feeds bytes to `expressions`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    seamline_fuzz::expressions(bytes);
});
