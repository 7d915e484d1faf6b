//! Feeds bytes to `diff`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    seamline_fuzz::diff(bytes);
});
