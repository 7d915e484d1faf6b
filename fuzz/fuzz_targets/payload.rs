//! Feeds bytes to `payload`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    seamline_fuzz::payload(bytes);
});
